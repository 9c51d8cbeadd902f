// Placement's rules under its own names with its newest defaults (placement/policies, 2026): a service for other services and operators;
// a project may only ask what it uses itself.
import type { PolicyDefaults } from '../../http/table.ts'

const adminOrService = 'rule:admin_or_service_api'

const all = (names: string): PolicyDefaults => Object.fromEntries(names.split(/\s+/).map((name) => [`placement:${name}`, adminOrService]))

export const policies: PolicyDefaults = {
  admin_api: 'role:admin',
  service_api: 'role:service',
  admin_or_service_api: 'role:admin or role:service',
  project_reader_api: 'role:reader and project_id:%(project_id)s',
  admin_or_project_reader_or_service_api: 'role:admin or rule:project_reader_api or role:service',
  ...all(
    `resource_providers:list resource_providers:create resource_providers:show resource_providers:update resource_providers:delete
    resource_classes:list resource_classes:create resource_classes:show resource_classes:update resource_classes:delete
    resource_providers:inventories:list resource_providers:inventories:create resource_providers:inventories:show
    resource_providers:inventories:update resource_providers:inventories:delete
    resource_providers:aggregates:list resource_providers:aggregates:update
    resource_providers:usages traits:list traits:show traits:update traits:delete
    resource_providers:traits:list resource_providers:traits:update resource_providers:traits:delete
    allocations:manage allocations:list allocations:update allocations:delete resource_providers:allocations:list
    allocation_candidates:list reshaper:reshape`,
  ),
  'placement:usages': 'rule:admin_or_project_reader_or_service_api',
}
