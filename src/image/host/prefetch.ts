// Images that control wants in this host's cache before a server asks for them, and those that it wants out of it.
import type { Machine } from '../../agent/machine.ts'
import type { Realiser } from '../../agent/realise.ts'
import { cachedImage, removeUnused } from './cache.ts'
import { cachedImages, documented, forgetImage } from './remembered.ts'

/** @param used finds the files that disks of servers stand on */
export const imageRealiser = (machine: Machine, used: () => Promise<Set<string>>): Realiser<'image'> => ({
  kind: 'image',
  async ensure(document, generation) {
    await cachedImage(machine, document)
    documented(machine, document.id, generation)
    const image = (await cachedImages(machine))[document.id]
    return { state: 'ready', ...(image && { image }) }
  },
  async remove(id) {
    await forgetImage(machine, id)
    await removeUnused(machine, await used())
  },
  // An image that no document names is no leftover: it came with a server, and goes when nothing has used it for a while.
  existing: async () => [],
})
