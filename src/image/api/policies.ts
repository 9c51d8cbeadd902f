// Glance's rules under Glance's names and with its newest defaults (glance/policies, 2026). What a caller may not even see is a 404 before
// any of them is asked (find.ts). Rules of what is not built yet are here, too: who may not do it gets a 403, everyone else the 501.
import type { PolicyDefaults, Scopes } from '../../http/table.ts'

const admin = 'rule:context_is_admin'
const anyone = 'rule:default'
const service = 'rule:service_api'
const visible =
  "project_id:%(project_id)s or project_id:%(member_id)s or 'community':%(visibility)s or 'public':%(visibility)s or 'shared':%(visibility)s"
const reader = `${admin} or (role:reader and project_id:%(project_id)s)`
const member = `${admin} or (role:member and project_id:%(project_id)s)`
const readerOrShared = `${admin} or role:reader and (project_id:%(project_id)s or project_id:%(member_id)s)`
const metadefReader = `${admin} or (role:reader and (project_id:%(project_id)s or 'public':%(visibility)s))`

const all = (check: string, names: string): PolicyDefaults => Object.fromEntries(names.split(/\s+/).map((name) => [name, check]))

export const policies: PolicyDefaults = {
  default: '',
  context_is_admin: 'role:admin',
  service_api: 'role:service or role:admin',

  add_image: `${admin} or (role:member and project_id:%(project_id)s and project_id:%(owner)s)`,
  get_image: `${admin} or (role:reader and (${visible}))`,
  ...all(reader, 'get_images get_image_location'),
  ...all(
    member,
    'delete_image modify_image communitize_image upload_image set_image_location deactivate reactivate add_member delete_member',
  ),
  ...all(admin, 'publicize_image delete_image_location copy_image manage_image_cache list_cached_nodes'),
  ...all(`${admin} or (role:member and (${visible}))`, 'download_image download_from_store'),
  add_image_location: `${service} or (role:member and project_id:%(project_id)s and project_id:%(owner)s)`,
  fetch_image_location: service,

  ...all(readerOrShared, 'get_member get_members'),
  modify_member: `${admin} or (role:member and project_id:%(member_id)s)`,

  stores_info_detail: `${admin} or ${service}`,
  ...all(anyone, 'get_task get_tasks add_task modify_task'),
  tasks_api_access: admin,
  ...all(admin, 'cache_image cache_list cache_delete cache_clean cache_prune'),

  metadef_default: '',
  metadef_admin: admin,
  get_metadef_namespaces: reader,
  ...all(
    metadefReader,
    `get_metadef_namespace get_metadef_object get_metadef_objects list_metadef_resource_types get_metadef_resource_type
    get_metadef_property get_metadef_properties get_metadef_tag get_metadef_tags`,
  ),
  ...all(
    'rule:metadef_admin',
    `modify_metadef_namespace add_metadef_namespace delete_metadef_namespace modify_metadef_object add_metadef_object delete_metadef_object
    add_metadef_resource_type_association remove_metadef_resource_type_association modify_metadef_property add_metadef_property
    remove_metadef_property modify_metadef_tag add_metadef_tag add_metadef_tags delete_metadef_tag delete_metadef_tags`,
  ),
}

// What says nothing of images: schemas, and what the others are made of.
const ofAll = new Set(['default', 'context_is_admin', 'service_api', 'metadef_default', 'metadef_admin'])
/** Images belong to projects; who has a token of a domain or of the system has no business here. */
export const scopes: Scopes = (rule) => (ofAll.has(rule) ? ['project', 'domain', 'system'] : ['project'])
