// The bar on top: whose cloud this is, which project is looked at, whether what is shown is live, language, appearance, the user.
import {
  Dropdown,
  DropdownGroup,
  DropdownItem,
  DropdownList,
  Masthead,
  MastheadBrand,
  MastheadContent,
  MastheadLogo,
  MastheadMain,
  MastheadToggle,
  MenuToggle,
  PageToggleButton,
  Tooltip,
} from '@patternfly/react-core'
import { useMutation } from '@tanstack/react-query'
import { Link, useNavigate, useRouter } from '@tanstack/react-router'
import { type ReactNode, useState } from 'react'
import { roleCan } from '../api/can.ts'
import { revokeToken, scopesOf, switchRegion, switchScope } from '../api/identity.ts'
import { useLive } from '../api/live.ts'
import { type Scope, sessionEnded, useSession } from '../api/session.ts'
import { changeLanguage, languages, useLanguage, useText } from '../i18n/index.ts'
import { Brand } from './brand.tsx'
import { needsProject } from './scope.tsx'
import { changeTheme, type Theme, useTheme } from './theme.ts'
import { toastProblem } from './toasts.tsx'

type Choice = { value: string; text: string }
type MenuProps = {
  label: string
  shown: ReactNode
  groups: { title: string; choices: Choice[]; chosen?: string; choose: (value: string) => void }[]
}

function HeaderMenu({ label, shown, groups }: MenuProps) {
  const t = useText()
  const [open, setOpen] = useState(false)
  return (
    <Dropdown
      isOpen={open}
      onOpenChange={setOpen}
      onSelect={() => setOpen(false)}
      shouldFocusToggleOnSelect
      popperProps={{ position: 'right' }}
      toggle={(ref) => (
        <MenuToggle
          ref={ref}
          variant="plainText"
          aria-label={label}
          isExpanded={open}
          onClick={() => setOpen(!open)}
          className="wisp-header-toggle"
        >
          {shown}
        </MenuToggle>
      )}
    >
      {groups.map(({ title, choices, chosen, choose }) => (
        <DropdownGroup key={title} label={title}>
          <DropdownList>
            {choices.map(({ value, text }) => (
              <DropdownItem key={value} isSelected={value === chosen} onClick={() => choose(value)}>
                {text}
                {value === chosen && <span className="pf-v6-screen-reader"> ({t.chosen})</span>}
              </DropdownItem>
            ))}
          </DropdownList>
        </DropdownGroup>
      ))}
    </Dropdown>
  )
}

export function LanguageMenu() {
  const t = useText()
  const { language } = useLanguage()
  const choose = (value: string) => void changeLanguage(value === 'zh' ? 'zh' : 'en')
  const choices = languages.map(({ code, name }) => ({ value: code, text: name }))
  const shown = languages.find(({ code }) => code === language)?.name
  return (
    <HeaderMenu
      label={`${t.header.language}: ${shown}`}
      shown={shown}
      groups={[{ title: t.header.language, choices, chosen: language, choose }]}
    />
  )
}

function LiveSign() {
  const t = useText()
  const live = useLive()
  if (live === 'connecting') return null
  const stream = live === 'stream'
  return (
    <Tooltip content={stream ? t.header.liveHint : t.header.pollingHint}>
      <span className={stream ? 'wisp-live' : 'wisp-live wisp-live-polling'} role="status">
        <span className="wisp-dot" aria-hidden="true" />
        {stream ? t.header.live : t.header.polling}
      </span>
    </Tooltip>
  )
}

export function Header() {
  const t = useText()
  const session = useSession()
  const theme = useTheme()
  const navigate = useNavigate()
  const router = useRouter()
  const change = useMutation({
    mutationFn: switchScope,
    // What was looked at may not be there in another scope.
    onSuccess: (_nothing, { kind }) => {
      if (kind !== 'project' && needsProject(router.state.location.pathname)) void navigate({ to: '/projects' })
    },
    onError: (error) => toastProblem(t.header.switchScope, error),
  })
  const logOut = () =>
    void revokeToken()
      .catch(() => undefined)
      .finally(() => sessionEnded('logged-out'))
  const themes: Choice[] = [
    { value: 'system', text: t.header.themeSystem },
    { value: 'light', text: t.header.themeLight },
    { value: 'dark', text: t.header.themeDark },
  ]
  const scopeName = session.scope.kind === 'system' ? t.scope.system : session.scope.name
  const keyOf = ({ kind, id }: Scope) => `${kind} ${id}`
  const scopes = scopesOf(session)
  const titles = { project: t.header.projects, domain: t.header.domains, system: t.scope.administration }
  const places = [
    ...(['project', 'domain', 'system'] as const)
      .map((kind) => ({
        title: titles[kind],
        choices: scopes
          .filter((scope) => scope.kind === kind)
          .map((scope) => ({ value: keyOf(scope), text: scope.kind === 'system' ? t.scope.system : scope.name })),
        chosen: keyOf(session.scope),
        choose: (key: string) => {
          const scope = scopes.find((each) => keyOf(each) === key)
          if (scope !== undefined) change.mutate(scope)
        },
      }))
      .filter(({ choices }) => choices.length > 0),
    ...(session.regions.length > 1
      ? [
          {
            title: t.header.region,
            choices: session.regions.map((name) => ({ value: name, text: name })),
            chosen: session.region,
            choose: switchRegion,
          },
        ]
      : []),
  ]
  return (
    <Masthead className="wisp-masthead" display={{ default: 'inline' }}>
      <MastheadMain>
        <MastheadToggle>
          <PageToggleButton isHamburgerButton aria-label={t.nav.toggle} className="wisp-nav-toggle" />
        </MastheadToggle>
        <MastheadBrand>
          <MastheadLogo component={(props: { className?: string; children?: ReactNode }) => <Link {...props} to="/" aria-label="Wisp" />}>
            <Brand />
          </MastheadLogo>
        </MastheadBrand>
      </MastheadMain>
      <MastheadContent>
        <div className="wisp-header">
          <HeaderMenu
            label={`${t.scope.kinds[session.scope.kind]}: ${scopeName} ${session.region}`.trim()}
            shown={
              <span className="wisp-project">
                {session.scope.kind === 'domain' && <span>{t.scope.kinds.domain}</span>}
                <strong>{scopeName}</strong>
                {session.region !== '' && <span className="wisp-region">{session.region}</span>}
              </span>
            }
            groups={places}
          />
          {roleCan.anything(session) !== undefined && (
            <Tooltip content={t.scope.readOnlyLine}>
              <span className="wisp-read-only">{t.scope.readOnly}</span>
            </Tooltip>
          )}
          <span className="wisp-header-space" />
          <LiveSign />
          <LanguageMenu />
          <HeaderMenu
            label={`${t.header.user}: ${session.user.name}`}
            shown={
              <>
                <span className="wisp-avatar" aria-hidden="true">
                  {session.user.name.slice(0, 1).toUpperCase()}
                </span>
                <span className="wisp-user-name">{session.user.name}</span>
              </>
            }
            groups={[
              { title: t.header.theme, choices: themes, chosen: theme, choose: (value) => changeTheme(value as Theme) },
              {
                title: session.user.name,
                choices: [
                  { value: 'profile', text: t.header.profile },
                  { value: 'out', text: t.header.logOut },
                ],
                choose: (value) => (value === 'out' ? logOut() : void navigate({ to: '/profile' })),
              },
            ]}
          />
        </div>
      </MastheadContent>
    </Masthead>
  )
}
