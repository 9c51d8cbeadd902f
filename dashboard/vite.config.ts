// How the page is built (`vite build` writes dist/) and how it is served while it is being worked on: `vite` passes everything that isn't the
// page's own to the cloud named by WISP_URL, so that the APIs stay on the same origin as they are in production.
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

const cloud = process.env.WISP_URL ?? 'http://127.0.0.1:5000'
const services = ['/identity', '/compute', '/image', '/network', '/volume', '/placement']

export default defineConfig({
  base: '/dashboard/',
  plugins: [react()],
  build: { target: 'es2022', sourcemap: false, chunkSizeWarningLimit: 900 },
  server: {
    proxy: {
      ...Object.fromEntries(services.map((path) => [path, { target: cloud }])),
      '/dashboard/events': { target: cloud },
      '/console/v1': { target: cloud, ws: true },
    },
  },
})
