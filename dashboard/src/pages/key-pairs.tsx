// A user's key pairs: created here, or imported from what they already have.
import { Button } from '@patternfly/react-core'
import KeyIcon from '@patternfly/react-icons/dist/esm/icons/key-icon'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { deleteKeyPair } from '../api/compute.ts'
import { keys } from '../api/keys.ts'
import { keyPairsQuery } from '../api/queries.ts'
import { queryClient } from '../api/query-client.ts'
import { KeyPairCreate } from '../forms/key-pair-create.tsx'
import { KeyPairImport } from '../forms/key-pair-import.tsx'
import { useText } from '../i18n/index.ts'
import { Confirm } from '../ui/confirm.tsx'
import { List } from '../ui/list.tsx'
import { Nothing } from '../ui/nothing.tsx'
import { Pages, pageOf } from '../ui/pages.tsx'
import { Copyable, PageHeader, Waiting } from '../ui/pieces.tsx'
import { Problem } from '../ui/problem.tsx'

const route = getRouteApi('/inside/key-pairs')

export function KeyPairsPage() {
  const t = useText()
  const navigate = useNavigate()
  const search = route.useSearch()
  const keyPairs = useQuery(keyPairsQuery)
  const [form, setForm] = useState<'create' | 'import'>()
  const [doomed, setDoomed] = useState<string>()
  const close = () => setForm(undefined)
  const { rows, page, pages } = pageOf(keyPairs.data ?? [], search.page ?? 1)
  const buttons = (
    <>
      <Button variant="secondary" onClick={() => setForm('import')}>
        {t.keyPairs.import}
      </Button>
      <Button onClick={() => setForm('create')}>{t.keyPairs.create}</Button>
    </>
  )
  return (
    <>
      <PageHeader title={t.keyPairs.title}>{buttons}</PageHeader>
      <div className="wisp-card">
        {keyPairs.isPending && <Waiting />}
        {keyPairs.isError && <Problem error={keyPairs.error} retry={() => void keyPairs.refetch()} />}
        {keyPairs.data?.length === 0 && (
          <Nothing title={t.keyPairs.empty} line={t.keyPairs.emptyLine} icon={KeyIcon}>
            {buttons}
          </Nothing>
        )}
        {keyPairs.data !== undefined && keyPairs.data.length > 0 && (
          <>
            <List
              label={t.keyPairs.title}
              rows={rows}
              idOf={({ name }) => name}
              nameOf={({ name }) => name}
              columns={[
                { title: t.name, main: true, cell: ({ name }) => name },
                { title: t.keyPairs.type, cell: ({ type, public_key }) => public_key.split(' ')[0] ?? type ?? '—' },
                { title: t.keyPairs.fingerprint, cell: ({ fingerprint }) => <Copyable value={fingerprint} /> },
              ]}
              actions={({ name }) => [{ title: t.delete, danger: true, run: () => setDoomed(name) }]}
            />
            <Pages page={page} pages={pages} open={(next) => void navigate({ to: '/key-pairs', search: { page: next } })} />
          </>
        )}
      </div>
      {form === 'create' && <KeyPairCreate close={close} />}
      {form === 'import' && <KeyPairImport close={close} />}
      {doomed !== undefined && (
        <Confirm
          title={t.keyPairs.confirmDelete}
          line={t.keyPairs.confirmDeleteLine}
          objects={[{ id: doomed, name: doomed }]}
          button={t.delete}
          what={t.keyPairs.doing.delete}
          run={async () => {
            await deleteKeyPair(doomed)
            await queryClient.invalidateQueries({ queryKey: keys.keyPairs })
          }}
          close={() => setDoomed(undefined)}
        />
      )}
    </>
  )
}
