// The locations of an image by themselves (API 2.17): services read them, and a URL is given to a queued image, whose bits are then read
// once from there to know their hashes and that they are what the image says.
import { Type as t } from 'typebox'
import { envelopes } from '../../http/envelope.ts'
import { badRequest, conflict, forbidden } from '../../http/fault.ts'
import { row } from '../../http/table.ts'
import { validator } from '../../http/validate.ts'
import { refuseBadHash, sizeAt } from '../control/location-changes.ts'
import { locationsOf } from '../control/locations.ts'
import { hashings, isHashing, type Stores, shownLocation } from '../control/stores.ts'
import { locateImage } from '../control/upload.ts'
import { findImage, imageTarget, seeImage } from './find.ts'

const body = t.Object(
  {
    url: t.String({ maxLength: 2048 }),
    validation_data: t.Optional(
      t.Object(
        { os_hash_algo: t.Optional(t.String({ maxLength: 64 })), os_hash_value: t.Optional(t.String({ maxLength: 128 })) },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
)

const many = t.Array(
  t.Object(
    {
      url: t.String({ maxLength: 2048 }),
      metadata: t.Record(t.String(), t.String()),
      validation_data: t.Optional(
        t.Object(
          {
            checksum: t.Optional(t.String({ maxLength: 32 })),
            os_hash_algo: t.String({ maxLength: 64 }),
            os_hash_value: t.String({ maxLength: 128 }),
          },
          { additionalProperties: false },
        ),
      ),
    },
    { additionalProperties: false },
  ),
)
const checkMany = validator('body', t.Object({ locations: many }))

/** What a PATCH gives as locations. @throws Fault 400 */
export function refuseLocations(value: unknown): void {
  const problem = checkMany({ locations: value }, '')
  if (problem) throw envelopes.image.invalid(problem)
}

export const locations = (stores: Stores) => [
  row({
    route: 'GET /v2/images/:image_id/locations',
    policy: 'fetch_image_location',
    target: 'loaded',
    reply: 200,
    summary: 'List the locations of an image',
    async run(call) {
      const image = await findImage(call, call.params.image_id, 'fetch_image_location')
      return locationsOf(image).map((location) => shownLocation(stores, location))
    },
  }),
  row({
    route: 'POST /v2/images/:image_id/locations',
    policy: 'add_image_location',
    target: 'loaded',
    body,
    transaction: 'own',
    reply: 202,
    summary: 'Say where the data of a queued image is',
    async run(call) {
      const { body, db, params } = call
      const { url, validation_data = {} } = body
      const image = await seeImage(call, params.image_id)
      if (image.status !== 'queued') throw conflict(`It's not allowed to add locations if image status is ${image.status}.`)
      call.must('add_image_location', imageTarget(image))
      const web = stores.all.find(({ kind }) => kind === 'http')
      if (!web) throw forbidden('http store must be enabled to use location API by normal user.')
      const { os_hash_algo = stores.hashing, os_hash_value } = validation_data
      if (!isHashing(os_hash_algo)) throw badRequest(`os_hash_algo must be ${hashings.join(' or ')}, not ${os_hash_algo}`)
      if (os_hash_value !== undefined) refuseBadHash(os_hash_algo, os_hash_value)
      await sizeAt(stores, url)
      await locateImage(db, stores, image.id, { store: web, url, algorithm: os_hash_algo, hash: os_hash_value?.toLowerCase() })
    },
  }),
]
