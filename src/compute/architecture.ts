// Names of processors: people and images use Debian's, QEMU's and libvirt's are those of `uname -m`.
const names = new Map([
  ['amd64', 'x86_64'],
  ['x64', 'x86_64'],
  ['arm64', 'aarch64'],
])

/** The name as in `uname -m`. */
export const architectureOf = (name: string): string => names.get(name.toLowerCase()) ?? name.toLowerCase()
