// The examples of AWS's own documentation, and that nothing else fits.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ec2SignatureFits, type SignedRequest, s3SignatureFits } from './ec2-signature.ts'

const secret = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'
const request = (over: Partial<SignedRequest>): SignedRequest => ({
  ...{ signature: '', host: '', verb: 'GET', path: '/', params: {}, headers: {}, bodyHash: '' },
  ...over,
})

const version2 = request({
  host: 'elasticmapreduce.amazonaws.com',
  params: {
    AWSAccessKeyId: 'AKIAIOSFODNN7EXAMPLE',
    Action: 'DescribeJobFlows',
    SignatureMethod: 'HmacSHA256',
    SignatureVersion: '2',
    Timestamp: '2011-10-03T15:19:30',
    Version: '2009-03-31',
  },
  signature: 'i91nKc4PWAt0JJIdXwz9HxZCJDdiy6cf/Mj6vPxyYIs=',
})

const version4 = request({
  host: 'iam.amazonaws.com',
  params: { Action: 'ListUsers', Version: '2010-05-08' },
  headers: {
    Authorization:
      'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=x',
    'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8',
    Host: 'iam.amazonaws.com',
    'X-Amz-Date': '20150830T123600Z',
  },
  bodyHash: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  signature: '5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7',
})
const iamSecret = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'

test('version 2, also without the port that the host has', () => {
  assert.equal(ec2SignatureFits(secret, version2), true)
  assert.equal(ec2SignatureFits(secret, { ...version2, host: `${version2.host}:8773` }), true)
  assert.equal(ec2SignatureFits('other', version2), false)
  assert.equal(ec2SignatureFits(secret, { ...version2, path: '/x' }), false)
  assert.equal(ec2SignatureFits(secret, { ...version2, params: { ...version2.params, Action: 'Other' } }), false)
})

test('version 4', () => {
  assert.equal(ec2SignatureFits(iamSecret, version4), true)
  assert.equal(ec2SignatureFits(secret, version4), false)
  assert.equal(ec2SignatureFits(iamSecret, { ...version4, bodyHash: 'other' }), false)
  assert.equal(ec2SignatureFits(iamSecret, { ...version4, headers: { ...version4.headers, 'X-Amz-Date': '20150831T123600Z' } }), false)
  assert.equal(ec2SignatureFits(iamSecret, { ...version4, headers: { ...version4.headers, Authorization: 'AWS4-HMAC-SHA256' } }), false)
})

test('what has no known version fits nothing', () => {
  assert.equal(ec2SignatureFits(secret, request({ params: { SignatureVersion: '7' } })), false)
  assert.equal(ec2SignatureFits(secret, request({})), false)
})

test('S3, both versions', () => {
  const old = Buffer.from('GET\n\n\nTue, 27 Mar 2007 19:36:42 +0000\n/awsexamplebucket1/photos/puppy.jpg')
  assert.equal(s3SignatureFits(secret, old, 'qgk2+6Sv9/oM7G3qLEjTH1a1l1g='), true)
  assert.equal(s3SignatureFits('other', old, 'qgk2+6Sv9/oM7G3qLEjTH1a1l1g='), false)
  const hash = '7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972'
  const text = (scope: string) => Buffer.from(`AWS4-HMAC-SHA256\n20130524T000000Z\n${scope}\n${hash}`)
  const signature = 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41'
  assert.equal(s3SignatureFits(secret, text('20130524/us-east-1/s3/aws4_request'), signature), true)
  assert.equal(s3SignatureFits(secret, text('20130524/us-east-1/ec2/aws4_request'), signature), false)
  assert.equal(s3SignatureFits(secret, Buffer.from('AWS4-HMAC-SHA256\nx'), signature), false)
})
