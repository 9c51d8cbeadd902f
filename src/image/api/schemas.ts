// Images and members described as JSON schemas: clients build their forms and checks from these.
import { row } from '../../http/table.ts'
import { containerFormats, diskFormats } from '../control/formats.ts'
import { keyPolicies, visibilities } from './properties.ts'

const uuid = '^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$'
const text = (description: string, more: object = {}) => ({ type: 'string', description, ...more })
const maybe = (type: string, description: string, more: object = {}) => ({ type: ['null', type], description, ...more })
const readOnly = { readOnly: true }
const foreign = { is_base: false }

const image = {
  name: 'image',
  properties: {
    id: text('An identifier for the image', { pattern: uuid }),
    name: maybe('string', 'Descriptive name for the image', { maxLength: 255 }),
    status: text('Status of the image', {
      ...readOnly,
      enum: ['queued', 'saving', 'active', 'killed', 'deleted', 'uploading', 'importing', 'pending_delete', 'deactivated'],
    }),
    visibility: text('Scope of image accessibility', { enum: visibilities }),
    protected: { type: 'boolean', description: 'If true, image will not be deletable.' },
    os_hidden: { type: 'boolean', description: 'If true, image will not appear in default image list response.' },
    checksum: maybe('string', 'md5 hash of image contents.', { ...readOnly, maxLength: 32 }),
    os_hash_algo: maybe('string', 'Algorithm to calculate the os_hash_value', { ...readOnly, maxLength: 64 }),
    os_hash_value: maybe('string', 'Hexdigest of the image contents using the algorithm specified by the os_hash_algo', {
      ...readOnly,
      maxLength: 128,
    }),
    owner: maybe('string', 'Owner of the image', { maxLength: 255 }),
    size: maybe('integer', 'Size of image file in bytes', readOnly),
    virtual_size: maybe('integer', 'Virtual size of image in bytes', readOnly),
    container_format: maybe('string', 'Format of the container', { enum: [null, ...containerFormats] }),
    disk_format: maybe('string', 'Format of the disk', { enum: [null, ...diskFormats] }),
    created_at: text('Date and time of image registration', readOnly),
    updated_at: text('Date and time of the last image modification', readOnly),
    tags: { type: 'array', description: 'List of strings related to the image', items: { type: 'string', maxLength: 255 } },
    direct_url: text('URL to access the image file kept in external store', readOnly),
    min_ram: { type: 'integer', description: 'Amount of ram (in MB) required to boot image.' },
    min_disk: { type: 'integer', description: 'Amount of disk space (in GB) required to boot image.' },
    self: text('An image self url', readOnly),
    file: text('An image file url', readOnly),
    stores: text('Store in which image data resides. May be a comma-separated list of store identifiers.', readOnly),
    schema: text('An image schema url', readOnly),
    kernel_id: maybe('string', 'ID of image stored in Glance that should be used as the kernel when booting an AMI-style image.', {
      ...foreign,
      pattern: uuid,
    }),
    ramdisk_id: maybe('string', 'ID of image stored in Glance that should be used as the ramdisk when booting an AMI-style image.', {
      ...foreign,
      pattern: uuid,
    }),
    instance_uuid: text('Metadata which can be used to record which instance this image is associated with.', foreign),
    architecture: text('Operating system architecture.', foreign),
    os_distro: text('Common name of operating system distribution.', foreign),
    os_version: text('Operating system version as specified by the distributor.', foreign),
    description: text('A human-readable string describing this image.', foreign),
    cinder_encryption_key_id: text('Identifier of the key with which the volume that this image was made of is encrypted.', foreign),
    cinder_encryption_key_deletion_policy: text('Whether that key is to be deleted together with the image.', {
      ...foreign,
      enum: keyPolicies,
    }),
    locations: {
      type: 'array',
      description: 'A set of URLs to access the image file kept in external store',
      items: {
        type: 'object',
        properties: {
          url: { type: 'string', maxLength: 255 },
          metadata: { type: 'object' },
          validation_data: {
            type: 'object',
            description: 'Values to be used to populate the corresponding image properties.',
            additionalProperties: false,
            properties: {
              checksum: { type: 'string', minLength: 32, maxLength: 32 },
              os_hash_algo: { type: 'string', maxLength: 64 },
              os_hash_value: { type: 'string', maxLength: 128 },
            },
            required: ['os_hash_algo', 'os_hash_value'],
          },
        },
        required: ['url', 'metadata'],
      },
    },
  },
  additionalProperties: { type: 'string' },
  links: [
    { rel: 'self', href: '{self}' },
    { rel: 'enclosure', href: '{file}' },
    { rel: 'describedby', href: '{schema}' },
  ],
}

const member = {
  name: 'member',
  properties: {
    member_id: text('An identifier for the image member (tenantId)'),
    image_id: text('An identifier for the image', { pattern: uuid }),
    created_at: text('Date and time of image member creation'),
    updated_at: text('Date and time of last modification of image member'),
    status: text('The status of this image member', { enum: ['pending', 'accepted', 'rejected'] }),
    schema: { readOnly: true, type: 'string' },
  },
}

const either = (type: string, description: string) => ({ type: ['null', type], description })
const taskStub = {
  id: text('An identifier for the task', { pattern: uuid }),
  type: text('The type of task represented by this content', { enum: ['import', 'api_image_import', 'location_import'] }),
  status: text('The current status of this task', { enum: ['pending', 'processing', 'success', 'failure'] }),
  owner: text('An identifier for the owner of this task'),
  expires_at: either('string', 'Datetime when this resource would be subject to removal'),
  created_at: text('Datetime when this resource was created'),
  updated_at: text('Datetime when this resource was updated'),
  image_id: text('Image associated with the task'),
  request_id: text('Human-readable informative request-id'),
  user_id: text('User associated with the task'),
  self: { readOnly: true, type: 'string' },
  schema: { readOnly: true, type: 'string' },
}
const task = {
  name: 'task',
  properties: {
    ...taskStub,
    input: either('object', 'The parameters required by task, JSON blob'),
    result: either('object', 'The result of current task, JSON blob'),
    message: text('Human-readable informative message only included when appropriate (usually on failure)'),
  },
}

const collection = (name: string, item: object, links: object[]) => ({
  name,
  properties: {
    [name]: { type: 'array', items: item },
    ...(links.length > 1 && { first: { type: 'string' }, next: { type: 'string' } }),
    schema: { type: 'string' },
  },
  links,
})
const describedBy = { rel: 'describedby', href: '{schema}' }
const documents = {
  image,
  images: collection('images', image, [{ rel: 'first', href: '{first}' }, { rel: 'next', href: '{next}' }, describedBy]),
  member,
  members: collection('members', member, [describedBy]),
  task,
  tasks: collection('tasks', { name: 'task', properties: taskStub }, [describedBy]),
}

export const schemas = Object.entries(documents).map(([name, document]) =>
  row({
    route: `GET /v2/schemas/${name}`,
    policy: 'default',
    reply: 200,
    summary: `The JSON schema of ${name}`,
    run: () => document,
  }),
)
