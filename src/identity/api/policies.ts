// Keystone's rules for what is built, under Keystone's names and with its newest defaults (keystone/common/policies, 2026): admins do
// everything, readers of the system and of a domain look, managers of a domain run it, everyone looks after themselves.
import type { PolicyDefaults, Scopes } from '../../http/table.ts'

export const admin = 'rule:admin_required'
export const adminOrReader = `${admin} or (role:reader and system_scope:all)`
const domainReader = (target: string) => `${adminOrReader} or (role:reader and domain_id:%(${target})s)`
const domainManager = (target: string) => `${admin} or (role:manager and domain_id:%(${target})s)`

const seeProject = `${adminOrReader} or (role:reader and domain_id:%(target.project.domain_id)s) or project_id:%(target.project.id)s`
const changeProject = domainManager('target.project.domain_id')

/** Actor and target of a grant both belong to the caller's domain. */
const grantWithin = (role: string) =>
  ['user', 'group']
    .flatMap((actor) =>
      ['project.domain_id', 'domain.id'].map(
        (target) => `(role:${role} and domain_id:%(target.${actor}.domain_id)s and domain_id:%(target.${target})s)`,
      ),
    )
    .join(' or ')
const roleFits = '(domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s)'
const seeGrant = `${adminOrReader} or ((${grantWithin('reader')}) and ${roleFits})`
const listGrants = `${adminOrReader} or ${grantWithin('reader')}`
const changeGrant = `${admin} or ((${grantWithin('admin')}) and ${roleFits}) or ((${grantWithin('manager')}) and rule:domain_managed_target_role)`

const crud = (one: string, many: string, see: string, change: string): PolicyDefaults => ({
  [`identity:get_${one}`]: see,
  [`identity:list_${many}`]: see,
  [`identity:create_${one}`]: change,
  [`identity:update_${one}`]: change,
  [`identity:delete_${one}`]: change,
})

const all = (check: string, names: string): PolicyDefaults =>
  Object.fromEntries(names.split(/\s+/).map((name) => [`identity:${name}`, check]))

const trustor = 'user_id:%(target.trust.trustor_user_id)s'
const trustee = 'user_id:%(target.trust.trustee_user_id)s'
const credentialOwner = 'user_id:%(target.credential.user_id)s'

export const policies: PolicyDefaults = {
  admin_required: 'role:admin',
  service_role: 'role:service',
  service_or_admin: 'rule:admin_required or rule:service_role',
  owner: 'user_id:%(user_id)s',
  admin_or_owner: 'rule:admin_required or rule:owner',
  token_subject: 'user_id:%(target.token.user_id)s',
  admin_or_token_subject: 'rule:admin_required or rule:token_subject',
  service_admin_or_token_subject: 'rule:service_or_admin or rule:token_subject',
  domain_managed_target_role: "'manager':%(target.role.name)s or 'member':%(target.role.name)s or 'reader':%(target.role.name)s",

  'identity:get_auth_catalog': '',
  'identity:get_auth_projects': '',
  'identity:get_auth_domains': '',
  'identity:get_auth_system': '',
  'identity:check_token': `${adminOrReader} or rule:token_subject`,
  'identity:validate_token': `${adminOrReader} or rule:service_role or rule:token_subject`,
  'identity:revoke_token': `${admin} or rule:token_subject`,

  ...crud('domain', 'domains', adminOrReader, admin),
  'identity:get_domain': `${adminOrReader} or token.domain.id:%(target.domain.id)s or token.project.domain.id:%(target.domain.id)s`,
  'identity:list_domains': domainReader('target.domain.id'),

  ...crud('project', 'projects', seeProject, changeProject),
  'identity:list_projects': domainReader('target.domain_id'),
  'identity:list_user_projects': `${domainReader('target.user.domain_id')} or user_id:%(target.user.id)s`,
  'identity:list_project_tags': seeProject,
  'identity:get_project_tag': seeProject,
  'identity:update_project_tags': changeProject,
  'identity:create_project_tag': changeProject,
  'identity:delete_project_tags': changeProject,
  'identity:delete_project_tag': changeProject,

  ...crud('user', 'users', adminOrReader, domainManager('target.user.domain_id')),
  'identity:get_user': `${domainReader('target.user.domain_id')} or user_id:%(target.user.id)s`,
  'identity:list_users': domainReader('target.domain_id'),

  ...crud('group', 'groups', domainReader('target.group.domain_id'), domainManager('target.group.domain_id')),
  'identity:list_groups_for_user': `${domainReader('target.user.domain_id')} or user_id:%(user_id)s`,
  'identity:list_users_in_group': domainReader('target.group.domain_id'),
  'identity:check_user_in_group': `${adminOrReader} or (role:reader and domain_id:%(target.group.domain_id)s and domain_id:%(target.user.domain_id)s)`,
  'identity:add_user_to_group': `${admin} or (role:manager and domain_id:%(target.group.domain_id)s and domain_id:%(target.user.domain_id)s)`,
  'identity:remove_user_from_group': `${admin} or (role:manager and domain_id:%(target.group.domain_id)s and domain_id:%(target.user.domain_id)s)`,

  ...crud('role', 'roles', adminOrReader, admin),
  'identity:get_role': `${adminOrReader} or (role:manager and rule:domain_managed_target_role)`,
  'identity:list_roles': `${adminOrReader} or (role:manager and not domain_id:None)`,
  ...crud('domain_role', 'domain_roles', adminOrReader, admin),
  ...all(adminOrReader, 'get_implied_role list_implied_roles check_implied_role'),
  ...all(admin, 'create_implied_role delete_implied_role'),
  'identity:list_role_inference_rules': adminOrReader,

  'identity:check_grant': seeGrant,
  'identity:list_grants': listGrants,
  'identity:create_grant': changeGrant,
  'identity:revoke_grant': changeGrant,
  ...Object.fromEntries(
    ['user', 'group'].flatMap((actor) => [
      [`identity:list_system_grants_for_${actor}`, adminOrReader],
      [`identity:check_system_grant_for_${actor}`, adminOrReader],
      [`identity:create_system_grant_for_${actor}`, admin],
      [`identity:revoke_system_grant_for_${actor}`, admin],
    ]),
  ),
  'identity:list_role_assignments': domainReader('target.domain_id'),
  'identity:list_role_assignments_for_tree': domainReader('target.domain_id'),

  ...crud('region', 'regions', '', admin),
  ...crud('service', 'services', adminOrReader, admin),
  ...crud('endpoint', 'endpoints', adminOrReader, admin),
  ...crud('policy', 'policies', adminOrReader, admin),
  ...crud('endpoint_group', 'endpoint_groups', adminOrReader, admin),
  ...all(
    adminOrReader,
    `list_projects_associated_with_endpoint_group list_endpoints_associated_with_endpoint_group get_endpoint_group_in_project
    list_endpoint_groups_for_project list_projects_for_endpoint check_endpoint_in_project list_endpoints_for_project`,
  ),
  ...all(admin, 'add_endpoint_group_to_project remove_endpoint_group_from_project add_endpoint_to_project remove_endpoint_from_project'),
  ...Object.fromEntries(
    ['endpoint', 'service', 'region_and_service'].flatMap((kind) => [
      [`identity:create_policy_association_for_${kind}`, admin],
      [`identity:check_policy_association_for_${kind}`, adminOrReader],
      [`identity:delete_policy_association_for_${kind}`, admin],
    ]),
  ),
  ...all(adminOrReader, 'get_policy_for_endpoint list_endpoints_for_policy'),
  ...all(admin, 'create_domain_config update_domain_config delete_domain_config'),
  ...all(adminOrReader, 'get_domain_config get_domain_config_default'),
  'identity:get_security_compliance_domain_config': '',
  ...all('', 'get_limit_model list_limits get_registered_limit list_registered_limits'),
  'identity:get_limit': `${adminOrReader} or domain_id:%(target.limit.domain.id)s or domain_id:%(target.limit.project.domain_id)s or (project_id:%(target.limit.project_id)s and not None:%(target.limit.project_id)s)`,
  ...all(admin, 'create_limits update_limit delete_limit create_registered_limits update_registered_limit delete_registered_limit'),
  ...all('rule:service_or_admin', 'list_revoke_events revocation_list'),
  ...crud('identity_provider', 'identity_providers', adminOrReader, admin),
  ...crud('protocol', 'protocols', adminOrReader, admin),
  ...crud('mapping', 'mappings', adminOrReader, admin),
  ...crud('service_provider', 'service_providers', adminOrReader, admin),
  'identity:create_application_credential': 'user_id:%(user_id)s',
  'identity:get_application_credential': `${adminOrReader} or rule:owner`,
  'identity:list_application_credentials': `${adminOrReader} or rule:owner`,
  'identity:delete_application_credential': 'rule:admin_or_owner',
  'identity:ec2_get_credential': `${adminOrReader} or ${credentialOwner}`,
  'identity:ec2_list_credentials': `${adminOrReader} or rule:owner`,
  'identity:ec2_create_credential': `${admin} or (role:member and ${credentialOwner})`,
  'identity:ec2_delete_credential': `${admin} or (role:member and ${credentialOwner})`,
  ...all('rule:service_or_admin', 'ec2tokens_validate s3tokens_validate'),
  'identity:create_trust': trustor,
  'identity:list_trusts': adminOrReader,
  'identity:list_trusts_for_trustor': `${adminOrReader} or ${trustor}`,
  'identity:list_trusts_for_trustee': `${adminOrReader} or ${trustee}`,
  'identity:get_trust': `${adminOrReader} or ${trustor} or ${trustee}`,
  'identity:list_roles_for_trust': `${adminOrReader} or ${trustor} or ${trustee}`,
  'identity:get_role_for_trust': `${adminOrReader} or ${trustor} or ${trustee}`,
  'identity:delete_trust': `${admin} or ${trustor}`,
  'identity:get_access_rule': '(role:reader and system_scope:all) or user_id:%(target.user.id)s',
  'identity:list_access_rules': '(role:reader and system_scope:all) or user_id:%(target.user.id)s',
  'identity:delete_access_rule': '(role:admin and system_scope:all) or user_id:%(target.user.id)s',
  ...crud('consumer', 'consumers', adminOrReader, admin),
  ...all(
    admin,
    'authorize_request_token get_access_token list_access_tokens delete_access_token get_access_token_role list_access_token_roles',
  ),
  ...crud('credential', 'credentials', `${adminOrReader} or ${credentialOwner}`, `${admin} or ${credentialOwner}`),
}

// Tokens of a domain are for what belongs to domains: services, endpoints, roles and the like don't, so being admin of one gives no say.
const withinDomains = new Set(
  `get_auth_catalog get_auth_projects get_auth_domains get_auth_system check_token validate_token revoke_token
  get_domain list_domains get_security_compliance_domain_config get_role list_roles get_region list_regions
  get_project list_projects list_user_projects create_project update_project delete_project list_project_tags get_project_tag
  update_project_tags create_project_tag delete_project_tags delete_project_tag
  get_user list_users create_user update_user delete_user
  get_group list_groups list_groups_for_user create_group update_group delete_group list_users_in_group check_user_in_group
  add_user_to_group remove_user_from_group
  check_grant list_grants create_grant revoke_grant list_role_assignments list_role_assignments_for_tree
  get_credential list_credentials create_credential update_credential delete_credential ec2tokens_validate s3tokens_validate
  get_limit_model get_limit list_limits get_registered_limit list_registered_limits`
    .split(/\s+/)
    .map((rule) => `identity:${rule}`),
)
/** What one does for oneself within a project. */
const withinProjects = new Set(
  `authorize_request_token get_access_token get_access_token_role list_access_tokens list_access_token_roles delete_access_token
  create_application_credential create_trust`
    .split(/\s+/)
    .map((rule) => `identity:${rule}`),
)

export const scopes: Scopes = (rule) =>
  withinProjects.has(rule) ? ['project'] : withinDomains.has(rule) ? ['project', 'domain', 'system'] : ['project', 'system']
