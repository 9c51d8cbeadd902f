// What Keystone calls [security_compliance], the demands that PCI-DSS makes on passwords and accounts, as one setting: a JSON object with
// Keystone's own names, because an operator brings them along. All of them are off by default.

export interface SecurityCompliance {
  /** Wrong passwords in a row after which an account is locked; 0 for never. */
  lockout_failure_attempts: number
  /** Seconds for which it then is locked; 0 until an administrator enables the user. */
  lockout_duration: number
  /** Days without a sign-in after which a user counts as disabled; 0 for never. */
  disable_user_account_days_inactive: number
  /** Days for which a new password holds; 0 for ever. */
  password_expires_days: number
  /** How many of the last passwords the next one must differ from. */
  unique_last_password_count: number
  /** Days that a user must keep a password of their own choice. */
  minimum_password_age: number
  /** What a password must match from its beginning on (Python's re.match); '' for anything. */
  password_regex: string
  /** What is said to who gave a password that does not match. */
  password_regex_description: string
  /** Whether a password that an administrator set only serves to choose another. */
  change_password_upon_first_use: boolean
}

/** Keystone's defaults. */
export const noCompliance: SecurityCompliance = {
  lockout_failure_attempts: 0,
  lockout_duration: 1800,
  disable_user_account_days_inactive: 0,
  password_expires_days: 0,
  unique_last_password_count: 0,
  minimum_password_age: 0,
  password_regex: '',
  password_regex_description: '',
  change_password_upon_first_use: false,
}

/** Reads the setting; empty means all defaults. Throws what is wrong with it. */
export function parseCompliance(text: string): SecurityCompliance {
  if (text === '') return noCompliance
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch {
    throw new Error(`wants a JSON object, as {"lockout_failure_attempts": 6, "lockout_duration": 1800}`)
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw new Error('wants a JSON object')
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(noCompliance, name)) throw new Error(`knows no "${name}"; there are ${Object.keys(noCompliance).join(', ')}`)
    const wanted = typeof noCompliance[name as keyof SecurityCompliance]
    if (typeof value !== wanted) throw new Error(`wants a ${wanted} for "${name}"`)
    if (typeof value === 'number' && !(Number.isInteger(value) && value >= 0 && value <= 1_000_000_000)) {
      throw new Error(`wants a whole number from 0 on for "${name}"`)
    }
  }
  const all = { ...noCompliance, ...(given as Partial<SecurityCompliance>) }
  try {
    passwordPattern(all)
  } catch {
    throw new Error('wants a regular expression for "password_regex"')
  }
  if (all.password_expires_days > 0 && all.minimum_password_age >= all.password_expires_days) {
    throw new Error('wants a "minimum_password_age" that is less than "password_expires_days"')
  }
  return all
}

/** What passwords must match; undefined for anything. */
export const passwordPattern = ({ password_regex }: SecurityCompliance): RegExp | undefined =>
  password_regex === '' ? undefined : new RegExp(`^(?:${password_regex})`)
