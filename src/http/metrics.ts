/** What Prometheus may ask about the API: requests and their durations by service, route and status. */
import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client'

export interface Metrics {
  registry: Registry
  /** @param seconds from the first byte of the request to the last of the answer */
  observe(service: string, route: string, method: string, status: number, seconds: number): void
}

/** A registry of its own, so that two servers in one process (tests, the all-in-one) don't count each other's requests. */
export function metrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const labelNames = ['service', 'route', 'method', 'status'] as const
  const requests = new Counter({ name: 'wisp_http_requests_total', help: 'Requests answered', labelNames, registers: [registry] })
  const durations = new Histogram({
    name: 'wisp_http_request_duration_seconds',
    help: 'Time from the request to the end of its answer',
    labelNames: ['service', 'route', 'method'] as const,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  })
  return {
    registry,
    observe(service, route, method, status, seconds) {
      requests.inc({ service, route, method, status })
      durations.observe({ service, route, method }, seconds)
    },
  }
}
