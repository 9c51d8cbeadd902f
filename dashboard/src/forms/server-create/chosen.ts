// What has been chosen in the launch form. It outlives the session: who has to log in again in the middle finds it as it was.
import { useEffect, useRef, useState } from 'react'
import { currentSession, onSessionChange, useSession, whyEnded } from '../../api/session.ts'

/** What the person chose; what they left alone follows from what the cloud offers. */
export type Chosen = {
  name: string
  count: number
  imageId?: string
  flavorId?: string
  networkIds?: string[]
  groupIds?: string[]
  keyPair?: string | null
  userData: string
  configDrive: boolean
}

/** What was being filled in when a session ran out, for its owner to go on with after logging in again. */
let left: { user: string; chosen: Chosen } | undefined

/** `imageId`: the image that the form was opened with. */
export function useChosen(imageId: string | undefined): { chosen: Chosen; set: (change: Partial<Chosen>) => void } {
  const [user] = useState(useSession().user.id)
  const [chosen, setChosen] = useState<Chosen>({
    name: '',
    count: 1,
    userData: '',
    configDrive: false,
    ...(left?.user === user ? left.chosen : {}),
    ...(imageId === undefined ? {} : { imageId }),
  })
  const latest = useRef(chosen)
  latest.current = chosen
  useEffect(() => {
    if (left?.user === user) left = undefined
    return onSessionChange(() => {
      if (currentSession() === undefined && whyEnded() === 'expired') left = { user, chosen: latest.current }
    })
  }, [user])
  return { chosen, set: (change: Partial<Chosen>) => setChosen((before) => ({ ...before, ...change })) }
}
