// noVNC comes without types; these are the parts of its API (docs/API.md) that the page uses.
declare module '@novnc/novnc' {
  export default class RFB extends EventTarget {
    constructor(target: HTMLElement, url: string, options?: { shared?: boolean; wsProtocols?: string[] })
    scaleViewport: boolean
    background: string
    readonly capabilities: { power: boolean }
    sendCtrlAltDel(): void
    disconnect(): void
    focus(options?: FocusOptions): void
    blur(): void
  }
}
