// The way in: appearance and language first, so that nothing flashes, then the routes.
import '@patternfly/react-core/dist/styles/base.css'
import './style/index.css'
import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { queryClient } from './api/query-client.ts'
import { startLanguage } from './i18n/index.ts'
import { router } from './routes.tsx'
import { startTheme } from './ui/theme.ts'

startTheme()
await startLanguage()
createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
)
