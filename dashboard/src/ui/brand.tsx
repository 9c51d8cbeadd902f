// Wisp's mark and word: a light that wanders off the end of a W.

export function Mark({ size = 30 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" className="wisp-mark">
      <defs>
        <linearGradient id="wisp-mark-light" x1="0" y1="0" x2="1" y2="1">
          <stop offset="0" stopColor="#7cf5d3" />
          <stop offset="1" stopColor="#7d8bff" />
        </linearGradient>
      </defs>
      <path
        d="M4 10c2.4 0 2.8 12.5 6.2 12.5 2.8 0 2.8-9 5-9s2.2 9 5 9c3.8 0 3.6-7 2.6-11"
        fill="none"
        stroke="url(#wisp-mark-light)"
        strokeWidth="3.2"
        strokeLinecap="round"
      />
      <circle cx="25.5" cy="6" r="3" fill="#b9ffea" />
    </svg>
  )
}

export function Brand() {
  return (
    <span className="wisp-brand">
      <Mark />
      <span className="wisp-brand-word">Wisp</span>
    </span>
  )
}
