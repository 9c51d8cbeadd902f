// The S3 store: the bits of each key are one object of a bucket. Large ones go in parts; parts of an upload that was never finished are
// aborted when its key is removed, so that nothing invisible is paid for.
import fs from 'node:fs'
import { Readable } from 'node:stream'
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { Fault, tooLarge } from '../../http/fault.ts'
import { type Blocks, type ImageStore, storeFull } from './store.ts'

/** Bytes of a part, and how many of them are under way at once: what an upload takes in memory. */
const PART = 8 * 1024 * 1024
const AT_ONCE = 2
/** S3 takes no more of one object. */
const MOST_PARTS = 10_000
/** Milliseconds in which a server must accept a connection. */
const CONNECT = 10_000

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
  /** Whether the bucket is named in the path of a URL or in its host; `auto`: in the host at Amazon, in the path elsewhere. */
  bucket_url_format?: 'auto' | 'path' | 'virtual'
  /** A file of certificates; the server's own must be signed by one of them. */
  ca?: string
  /** Seconds of silence after which the server is given up. */
  timeout?: number
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
  bucket_url_format = 'auto',
  ca,
  timeout = 60,
}: S3Settings): ImageStore {
  const client = new S3Client({
    region,
    credentials: { accessKeyId: access_key, secretAccessKey: secret_key },
    forcePathStyle: bucket_url_format === 'auto' ? endpoint !== undefined : bucket_url_format === 'path',
    requestHandler: {
      connectionTimeout: CONNECT,
      socketTimeout: timeout * 1000,
      ...(ca && { httpsAgent: { ca: fs.readFileSync(ca) } }),
    },
    // To ask beforehand whether a part is welcome takes a round trip, and with this library a connection of its own that does not know `ca`.
    expectContinueHeader: false,
    // Not all servers other than Amazon's know the newest checksums.
    ...(endpoint && { endpoint, requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED' }),
  })
  const failed = (error: unknown): never => {
    throw new Fault(503, `The image store ${id} does not work: ${reasonOf(error, bucket)}. Try again later.`, { cause: error })
  }
  const unlessMissing = (error: unknown): undefined => {
    if (!(error instanceof S3ServiceException) || error.$metadata.httpStatusCode !== 404 || error.name === 'NoSuchBucket') failed(error)
  }
  /** Servers answer a HEAD with 404 and nothing else, whether the object is missing or the whole bucket. */
  const head = async (key: string) => {
    const found = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key })).catch(unlessMissing)
    if (!found) await client.send(new HeadBucketCommand({ Bucket: bucket })).catch(failed)
    return found
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
      const sender: Sender = {}
      const params = { Bucket: bucket, Key: key, Body: Readable.from(copied(blocks, sender), { objectMode: false }) }
      await new Upload({ client, params, partSize, queueSize: AT_ONCE }).done().catch((error: unknown) => {
        throw sender.failed ? sender.failed.error : (refusedFor(error, id) ?? failed(error))
      })
    },
    async read(key, range) {
      const Range = range && `bytes=${range.start}-${range.end}`
      const found = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key, ...(Range && { Range }) })).catch(unlessMissing)
      return found?.Body as Readable | undefined
    },
    async size(key) {
      return (await head(key))?.ContentLength
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

/** What stopped the sender, which is no fault of the store's. */
interface Sender {
  failed?: { error: unknown }
}

/** Blocks are only lent, but a part is many of them. */
async function* copied(blocks: Blocks, sender: Sender): AsyncGenerator<Buffer, void> {
  try {
    for (;;) {
      const { value, done } = await blocks.next().catch((error: unknown) => {
        sender.failed = { error }
        throw error
      })
      if (done) return
      yield Buffer.from(value)
    }
  } finally {
    await blocks.return()
  }
}

/** What a server says that has no room for more: Ceph's `QuotaExceeded`, MinIO's `XMinioStorageFull`, 507 from any. */
function refusedFor(error: unknown, id: string): Fault | undefined {
  const { name, message, $metadata } = error as Partial<S3ServiceException> & Error
  if ($metadata?.httpStatusCode === 507 || /quota|storage_?full|insufficient_?(storage|capacity)/i.test(name)) return storeFull(id, error)
  // The library counts the parts of what comes without a size.
  if (name === 'EntityTooLarge' || $metadata?.httpStatusCode === 413 || /^Exceeded \d+ parts/.test(message))
    return tooLarge(`The image store ${id} takes no image as large as this. Name another store, and say beforehand how large it is.`, {
      cause: error,
    })
}

/** For the person who has to mend it. */
function reasonOf(error: unknown, bucket: string): string {
  const { name, message, $metadata } = error as Partial<S3ServiceException> & Error
  if (name === 'NoSuchBucket' || (name === 'NotFound' && error instanceof S3ServiceException)) return `it has no bucket ${bucket}`
  if ($metadata?.httpStatusCode === 403) return `it refuses the access key, or what the key may do in the bucket ${bucket} (${name})`
  if (name === 'TimeoutError') return 'it does not answer'
  if (error instanceof AggregateError) return error.errors.map((one: Error) => one.message).join(', ')
  return message || name
}
