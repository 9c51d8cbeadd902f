// Which of Node's errors mean that the other end's certificate was not believed: for those who must say what to do about it.

/** Nobody whom we trust has signed it, or its time is over. */
const UNTRUSTED = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_SIGNATURE_FAILURE',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
])

export const isUntrusted = (code: string): boolean => UNTRUSTED.has(code)

/** It is good, but for another name. */
export const isOfAnotherName = (code: string): boolean => code === 'ERR_TLS_CERT_ALTNAME_INVALID'
