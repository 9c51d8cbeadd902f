// The one table of the page: columns as data, optional selection, sorting and row actions. On narrow screens each row becomes a card.
import { Checkbox, Divider, Dropdown, DropdownItem, DropdownList, MenuToggle } from '@patternfly/react-core'
import EllipsisVIcon from '@patternfly/react-icons/dist/esm/icons/ellipsis-v-icon'
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table'
import { Fragment, type ReactNode, useState } from 'react'
import { isForbidden, type Verdict } from '../api/can.ts'
import { useText } from '../i18n/index.ts'

export type Column<T> = { title: string; cell: (row: T) => ReactNode; sort?: string; main?: boolean; secondary?: boolean }

/** `no` is the reason why the action can't be done now; it is shown under the action's name. */
export type RowAction = { title: string; run: () => void; no?: Verdict; danger?: boolean; separate?: boolean }

type ListProps<T> = {
  label: string
  rows: T[]
  columns: Column<T>[]
  idOf: (row: T) => string
  nameOf: (row: T) => string
  actions?: (row: T) => RowAction[]
  sorting?: { by: string; dir: 'asc' | 'desc'; change: (by: string, dir: 'asc' | 'desc') => void }
  selection?: { ids: ReadonlySet<string>; change: (ids: ReadonlySet<string>) => void }
}

/** The menu of what can be done to one object; nothing for those who may do none of it. */
export function ActionMenu({ label, actions }: { label: string; actions: RowAction[] }) {
  const t = useText()
  const [open, setOpen] = useState(false)
  const offered = actions.filter(({ no }) => !isForbidden(no))
  if (offered.length === 0) return null
  return (
    <Dropdown
      isOpen={open}
      onOpenChange={setOpen}
      onSelect={() => setOpen(false)}
      // A dialog gives the focus back to what had it: the item is gone by then, its menu's button is not.
      shouldFocusToggleOnSelect
      popperProps={{ position: 'right', appendTo: () => document.body }}
      toggle={(ref) => (
        <MenuToggle
          ref={ref}
          variant="plain"
          aria-label={label}
          isExpanded={open}
          onClick={() => setOpen(!open)}
          icon={<EllipsisVIcon />}
        />
      )}
    >
      <DropdownList>
        {offered.map(({ title, run, no, danger = false, separate = false }, index) => (
          <Fragment key={title}>
            {separate && index > 0 && <Divider component="li" />}
            <DropdownItem
              isDanger={danger && no === undefined}
              isAriaDisabled={no !== undefined}
              description={no === undefined ? undefined : t.why[no]}
              onClick={run}
            >
              {title}
            </DropdownItem>
          </Fragment>
        ))}
      </DropdownList>
    </Dropdown>
  )
}

export function List<T>({ label, rows, columns, idOf, nameOf, actions, sorting, selection }: ListProps<T>) {
  const t = useText()
  const anyAction = actions !== undefined && rows.some((row) => actions(row).some(({ no }) => !isForbidden(no)))
  const allSelected = selection !== undefined && rows.length > 0 && rows.every((row) => selection.ids.has(idOf(row)))
  const toggle = (id: string, on: boolean) => {
    const ids = new Set(selection?.ids)
    if (on) ids.add(id)
    else ids.delete(id)
    selection?.change(ids)
  }
  return (
    <Table aria-label={label} variant="compact" gridBreakPoint="grid-md" className="wisp-table">
      <Thead>
        <Tr>
          {selection !== undefined && (
            <Th className="pf-v6-c-table__check">
              <Checkbox
                id={`${label}-all`}
                aria-label={t.servers.selectAll}
                isChecked={allSelected}
                onChange={(_event, on) => selection.change(new Set(on ? rows.map(idOf) : []))}
              />
            </Th>
          )}
          {columns.map(({ title, sort }, index) => (
            <Th
              key={title}
              modifier="wrap"
              sort={
                sort === undefined || sorting === undefined
                  ? undefined
                  : {
                      columnIndex: index,
                      sortBy: {
                        index: columns.findIndex((column) => column.sort === sorting.by),
                        direction: sorting.dir,
                        defaultDirection: 'asc',
                      },
                      onSort: (_event, _index, direction) => sorting.change(sort, direction),
                    }
              }
            >
              {title}
            </Th>
          ))}
          {anyAction && <Th screenReaderText={t.actions} />}
        </Tr>
      </Thead>
      <Tbody>
        {rows.map((row) => (
          <Tr key={idOf(row)} isRowSelected={selection?.ids.has(idOf(row)) ?? false}>
            {selection !== undefined && (
              <Td className="pf-v6-c-table__check">
                <Checkbox
                  id={`select-${idOf(row)}`}
                  aria-label={t.servers.select(nameOf(row))}
                  isChecked={selection.ids.has(idOf(row))}
                  onChange={(_event, on) => toggle(idOf(row), on)}
                />
              </Td>
            )}
            {columns.map(({ title, cell, main, secondary }) => (
              <Td
                key={title}
                dataLabel={title}
                className={main === true ? 'wisp-main-cell' : secondary === true ? 'wisp-secondary-cell' : undefined}
              >
                {cell(row)}
              </Td>
            ))}
            {anyAction && (
              <Td isActionCell>
                <ActionMenu label={`${t.moreActions}: ${nameOf(row)}`} actions={actions(row)} />
              </Td>
            )}
          </Tr>
        ))}
      </Tbody>
    </Table>
  )
}
