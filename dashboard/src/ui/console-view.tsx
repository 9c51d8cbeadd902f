// Either kind of console; each comes with its library when it is looked at.
import { lazy, Suspense } from 'react'
import type { ConsoleProtocol } from '../api/compute.ts'
import type { ConsoleProps } from './console-frame.tsx'
import { Waiting } from './pieces.tsx'

const views = {
  vnc: lazy(async () => ({ default: (await import('./screen.tsx')).Screen })),
  serial: lazy(async () => ({ default: (await import('./serial-terminal.tsx')).SerialTerminal })),
}

export function ConsoleView({ protocol, ...props }: ConsoleProps & { protocol: ConsoleProtocol }) {
  const View = views[protocol]
  return (
    <Suspense fallback={<Waiting />}>
      <View {...props} />
    </Suspense>
  )
}
