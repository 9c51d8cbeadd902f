// The log-in page: user, password, and the domain for those who have several; and a button for each identity provider that is connected.
// Goes back to where the person was.
import { Alert, Button, Form, FormGroup, InputGroup, InputGroupItem, TextInput } from '@patternfly/react-core'
import EyeIcon from '@patternfly/react-icons/dist/esm/icons/eye-icon'
import EyeSlashIcon from '@patternfly/react-icons/dist/esm/icons/eye-slash-icon'
import { useMutation, useQuery } from '@tanstack/react-query'
import { getRouteApi, Navigate, useRouter } from '@tanstack/react-router'
import { type FormEvent, useEffect, useState } from 'react'
import { listWebSso, logIn, logInWith, NoProject } from '../api/identity.ts'
import { currentSession, takeWebSsoToken, wayBack, whyEnded } from '../api/session.ts'
import { useText } from '../i18n/index.ts'
import { Mark } from '../ui/brand.tsx'
import { LanguageMenu } from '../ui/header.tsx'
import { Problem } from '../ui/problem.tsx'

const route = getRouteApi('/login')

/** Only addresses inside the page: whatever stands in `back` must not lead elsewhere. */
function insidePath(back: string | undefined): string {
  return back !== undefined && /^\/(?![/\\])/.test(back) && !back.startsWith('/login') ? back : '/'
}

export function LoginPage() {
  const t = useText()
  const router = useRouter()
  const { back } = route.useSearch()
  const [user, setUser] = useState('')
  const [password, setPassword] = useState('')
  const [domain, setDomain] = useState('Default')
  const [withDomain, setWithDomain] = useState(false)
  const [shown, setShown] = useState(false)
  const attempt = useMutation({
    mutationFn: (token: string | undefined) => (token === undefined ? logIn(domain, user, password) : logInWith(token, t.logIn.you)),
    // In the place of this page: the browser's way back leads to where one came from, not here.
    onSuccess: () => router.history.replace(router.options.basepath + insidePath(back ?? wayBack())),
  })
  const { data: providers = [] } = useQuery({
    queryKey: ['websso'],
    queryFn: ({ signal }) => listWebSso(signal),
    retry: false,
    staleTime: Number.POSITIVE_INFINITY,
  })
  const { mutate } = attempt
  useEffect(() => {
    const token = takeWebSsoToken()
    if (token !== undefined) mutate(token)
  }, [mutate])
  useEffect(() => {
    document.title = `${t.logIn.title} · Wisp`
  }, [t])
  const ended = whyEnded()
  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (user !== '' && password !== '' && !attempt.isPending) attempt.mutate(undefined)
  }
  if (currentSession() !== undefined && attempt.isIdle) return <Navigate to="/" replace />
  return (
    <div className="wisp-login">
      <div className="wisp-login-sky" aria-hidden="true" />
      <div className="wisp-login-language">
        <LanguageMenu />
      </div>
      <main className="wisp-login-card">
        <div className="wisp-login-brand">
          <Mark size={44} />
          <div>
            <span className="wisp-brand-word">Wisp</span>
            <span className="wisp-subtle">{t.brandLine}</span>
          </div>
        </div>
        <h1>{t.logIn.title}</h1>
        {ended !== undefined && attempt.isIdle && (
          <Alert
            isInline
            variant={ended === 'expired' ? 'warning' : 'info'}
            variantLabel=""
            title={ended === 'expired' ? t.logIn.expired : t.logIn.loggedOut}
          />
        )}
        {attempt.error instanceof NoProject && (
          <Alert isInline variant="warning" variantLabel={`${t.warning}:`} title={t.logIn.noProject(user || t.logIn.you)} />
        )}
        {attempt.isError && !(attempt.error instanceof NoProject) && <Problem error={attempt.error} what={t.logIn.doing} />}
        <Form onSubmit={submit}>
          <FormGroup label={t.logIn.user} fieldId="user">
            <TextInput
              id="user"
              name="username"
              autoComplete="username"
              autoFocus
              value={user}
              onChange={(_event, value) => setUser(value)}
            />
          </FormGroup>
          <FormGroup label={t.logIn.password} fieldId="password">
            <InputGroup>
              <InputGroupItem isFill>
                <TextInput
                  id="password"
                  name="password"
                  type={shown ? 'text' : 'password'}
                  autoComplete="current-password"
                  value={password}
                  onChange={(_event, value) => setPassword(value)}
                />
              </InputGroupItem>
              <InputGroupItem>
                <Button
                  variant="control"
                  aria-label={shown ? t.logIn.hidePassword : t.logIn.showPassword}
                  icon={shown ? <EyeSlashIcon /> : <EyeIcon />}
                  onClick={() => setShown(!shown)}
                />
              </InputGroupItem>
            </InputGroup>
          </FormGroup>
          {withDomain ? (
            <FormGroup label={t.logIn.domain} fieldId="domain">
              <TextInput id="domain" value={domain} onChange={(_event, value) => setDomain(value)} />
            </FormGroup>
          ) : (
            <Button variant="link" isInline className="wisp-login-domain" onClick={() => setWithDomain(true)}>
              {t.logIn.moreOptions}: {domain}
            </Button>
          )}
          <Button type="submit" isBlock isDisabled={user === '' || password === '' || attempt.isPending} isLoading={attempt.isPending}>
            {t.logIn.submit}
          </Button>
        </Form>
        {providers.length > 0 && (
          <section className="wisp-login-providers" aria-label={t.logIn.otherWays}>
            <p className="wisp-subtle">{t.logIn.otherWays}</p>
            {providers.map(({ identity_provider, protocol, name, links }) => (
              <Button
                key={`${identity_provider} ${protocol}`}
                component="a"
                href={links.dashboard}
                variant="secondary"
                isBlock
                onClick={() => wayBack(insidePath(back))}
              >
                {t.logIn.with(name)}
              </Button>
            ))}
          </section>
        )}
        <p className="wisp-subtle wisp-login-hint">{t.logIn.hint}</p>
      </main>
    </div>
  )
}
