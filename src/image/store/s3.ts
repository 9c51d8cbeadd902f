// The S3 store: the bits of each key are one object of a bucket. Large ones go in parts; parts of an upload that was never finished are
// aborted when its key is removed, so that nothing invisible is paid for.

import { Readable } from 'node:stream'
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { Fault } from '../../http/fault.ts'
import type { Blocks, ImageStore } from './store.ts'

/** Bytes of a part, and how many of them are under way at once: what an upload takes in memory. */
const PART = 8 * 1024 * 1024
const AT_ONCE = 2
/** S3 takes no more of one object. */
const MOST_PARTS = 10_000

export interface S3Settings {
  id: string
  description: string
  weight: number
  bucket: string
  /** Of a server that is not Amazon's. */
  endpoint?: string
  region?: string
  access_key: string
  secret_key: string
}

export function s3Store({
  id,
  description,
  weight,
  bucket,
  endpoint,
  region = 'us-east-1',
  access_key,
  secret_key,
}: S3Settings): ImageStore {
  const client = new S3Client({
    region,
    credentials: { accessKeyId: access_key, secretAccessKey: secret_key },
    // Servers other than Amazon's seldom have a name for each bucket, and not all know the newest checksums.
    ...(endpoint && {
      endpoint,
      forcePathStyle: true,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    }),
  })
  const failed = (error: unknown): never => {
    if (!(error instanceof S3ServiceException) && (error as NodeJS.ErrnoException).syscall === undefined) throw error
    throw new Fault(503, `The image store ${id} does not work: ${(error as Error).message}. Try again later.`, { cause: error })
  }
  const unlessMissing = (error: unknown): undefined => {
    if (!(error instanceof S3ServiceException) || error.$metadata.httpStatusCode !== 404) failed(error)
  }
  return {
    id,
    kind: 's3',
    description,
    weight,
    properties: {
      s3_store_large_object_size: PART / 2 ** 20,
      s3_store_large_object_chunk_size: PART / 2 ** 20,
      s3_store_thread_pools: AT_ONCE,
    },
    url: (key) => `s3://${new URL(endpoint ?? 'https://s3.amazonaws.com').host}/${bucket}/${key}`,
    async write(key, blocks, expected = 0) {
      const partSize = Math.max(PART, Math.ceil(expected / MOST_PARTS))
      const params = { Bucket: bucket, Key: key, Body: Readable.from(copied(blocks), { objectMode: false }) }
      await new Upload({ client, params, partSize, queueSize: AT_ONCE }).done().catch(failed)
    },
    async read(key, range) {
      const Range = range && `bytes=${range.start}-${range.end}`
      const found = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key, ...(Range && { Range }) })).catch(unlessMissing)
      return found?.Body as Readable | undefined
    },
    async size(key) {
      return (await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key })).catch(unlessMissing))?.ContentLength
    },
    async remove(key) {
      const begun = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: key })).catch(failed)
      for (const { UploadId, Key } of begun.Uploads ?? []) {
        if (Key === key) await client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId })).catch(unlessMissing)
      }
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key })).catch(unlessMissing)
    },
  }
}

/** Blocks are only lent, but a part is many of them. */
async function* copied(blocks: Blocks): AsyncGenerator<Buffer, void> {
  for await (const block of blocks) yield Buffer.from(block)
}
