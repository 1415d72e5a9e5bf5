// The filters of the list of jobs. The address holds them; the form only changes the address.
import { useEffect, useState } from 'preact/hooks'
import { getJson } from './api.ts'
import { tryParse } from './json.ts'
import { go, href, parseRoute } from './router.ts'
import { states } from './shapes.ts'
import { formatTime, fromInput, serverNow, toInput, zone, zoneName } from './time.ts'
import { Button, Field } from './ui.tsx'

export const filterNames = ['status', 'type', 'queue', 'document', 'target', 'from', 'to', 'error', 'context', 'trigger', 'role', 'parent', 'group', 'id', 'kind'] as const
export type Filters = Partial<Record<(typeof filterNames)[number], string>>

export const readFilters = (query: URLSearchParams): Filters =>
    Object.fromEntries(filterNames.map((name) => [name, query.get(name) ?? '']).filter(([, value]) => value !== '')) as Filters

const labels: Record<string, string> = {
    status: 'State', type: 'Type', queue: 'Queue', document: 'Document', target: 'Target', from: 'From', to: 'To', error: 'Error', context: 'Context', trigger: 'Trigger',
    role: 'Role', parent: 'Parent', group: 'Group', id: 'Id', kind: 'Kind',
}

// How the list is shown: changing the filters does not affect these.
const viewNames = ['columns', 'sort', 'rows'] as const
type View = Partial<Record<(typeof viewNames)[number], string>>
export function view(): View {
    const { query } = parseRoute(location.hash)
    return Object.fromEntries(viewNames.map((name) => [name, query.get(name)]).filter(([, value]) => value !== null)) as View
}
export const jobsHref = (filters: Filters, more: Record<string, string | null | undefined> = {}): string => href(['jobs'], { ...filters, ...view(), ...more })

const show = (filters: Filters, replace = false): void => go(jobsHref(filters), replace)

// A text field with completions from the database.
function Suggest({ id, name, field, value, ...rest }: { id: string; name: string; field: string; value: string; [key: string]: unknown }) {
    const [list, setList] = useState<string[]>([])
    const [like, setLike] = useState<string | null>(null)
    useEffect(() => {
        if (like === null) return
        const timer = setTimeout(() => {
            getJson<{ rows: string[] }>('suggest', { field, like }, `suggest-${field}`).then(({ rows }) => setList(rows ?? []), () => {})
        }, 150)
        return () => clearTimeout(timer)
    }, [field, like])
    return (
        <>
            <input {...rest} id={id} name={name} defaultValue={value} list={`${id}-list`} autocomplete="off" spellcheck={false} onFocus={(e) => setLike(e.currentTarget.value)} onInput={(e) => setLike(e.currentTarget.value)} />
            <datalist id={`${id}-list`}>{list.map((text) => <option key={text} value={text} />)}</datalist>
        </>
    )
}

// Midnight in the chosen zone, that many days ago.
function midnight(daysAgo: number): string {
    const now = new Date(serverNow())
    if (zone.value === 'UTC') return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() - daysAgo)).toISOString()
    return new Date(now.getFullYear(), now.getMonth(), now.getDate() - daysAgo).toISOString()
}
const ago = (hours: number): string => new Date(serverNow() - hours * 3_600_000).toISOString()

const times: [string, () => [string, string]][] = [
    ['Last hour', () => [ago(1), '']],
    ['Today', () => [midnight(0), '']],
    ['Yesterday', () => [midnight(1), midnight(0)]],
    ['7 days', () => [ago(168), '']],
]

function States({ filters }: { filters: Filters }) {
    const chosen = new Set((filters.status ?? '').split(',').filter(Boolean))
    const toggle = (state: string) => {
        if (chosen.has(state)) chosen.delete(state)
        else chosen.add(state)
        show({ ...filters, status: states.filter((s) => chosen.has(s)).join(',') })
    }
    return (
        <fieldset class="states">
            <legend class="unseen">States</legend>
            {states.map((state) => (
                <button key={state} type="button" class="chip" aria-pressed={chosen.has(state)} onClick={() => toggle(state)}>{state}</button>
            ))}
        </fieldset>
    )
}

function Chosen({ filters }: { filters: Filters }) {
    const names = filterNames.filter((name) => filters[name] && name !== 'status')
    if (names.length === 0) return null
    const without = (name: string): Filters => Object.fromEntries(Object.entries(filters).filter(([key]) => key !== name))
    return (
        <div class="chosen">
            {names.map((name) => (
                <button key={name} type="button" class="chip on" onClick={() => show(without(name))}>
                    <span class="unseen">Remove the filter </span>{labels[name]}: {name === 'from' || name === 'to' ? formatTime(filters[name]!) : filters[name]} <span aria-hidden="true">✕</span>
                </button>
            ))}
            <a href={jobsHref({})}>Clear all</a>
        </div>
    )
}

export function FilterForm({ filters }: { filters: Filters }) {
    const [wrong, setWrong] = useState('')
    const [open, setOpen] = useState(false) // on a phone
    const hidden = ['context', 'target', 'trigger', 'role', 'group', 'parent', 'kind', 'id'].some((name) => filters[name as keyof Filters])
    const submit = (form: HTMLFormElement) => {
        const data = Object.fromEntries([...new FormData(form)].map(([key, value]) => [key, String(value).trim()]))
        if (data.context && tryParse(data.context)?.kind !== 'object') return setWrong('This is no JSON object.')
        setWrong('')
        show({ ...filters, ...data, from: fromInput(data.from ?? ''), to: fromInput(data.to ?? '') })
    }
    const text = (name: keyof Filters, hint?: string) => (
        <Field label={labels[name]!} hint={hint}>
            {(a) => <input {...a} key={filters[name] ?? ''} name={name} defaultValue={filters[name] ?? ''} spellcheck={false} autocomplete="off" />}
        </Field>
    )
    const suggest = (name: keyof Filters) => (
        <Field label={labels[name]!}>{(a) => <Suggest {...a} key={filters[name] ?? ''} name={name} field={name} value={filters[name] ?? ''} />}</Field>
    )
    const time = (name: 'from' | 'to') => (
        <Field label={`${labels[name]} (${zoneName()})`}>
            {(a) => <input {...a} key={filters[name] ?? ''} type="datetime-local" name={name} defaultValue={toInput(filters[name])} />}
        </Field>
    )
    return (
        <form class={`filters ${open ? 'open' : ''}`} role="search" aria-label="Jobs" onSubmit={(e) => (e.preventDefault(), submit(e.currentTarget))}>
            <States filters={filters} />
            <div class="row">
                {suggest('type')}
                {text('document')}
                {text('error')}
                {suggest('queue')}
                {time('from')}
                {time('to')}
                <div class="times" role="group" aria-label="Times">
                    {times.map(([label, range]) => (
                        <button key={label} type="button" class="chip" onClick={() => show({ ...filters, from: range()[0], to: range()[1] })}>{label}</button>
                    ))}
                </div>
            </div>
            <details open={hidden}>
                <summary>More filters</summary>
                <div class="row">
                    <Field label="Context contains" hint='As JSON: {"customer": 7}' error={wrong}>
                        {(a) => <input {...a} key={filters.context ?? ''} name="context" defaultValue={filters.context ?? ''} spellcheck={false} autocomplete="off" />}
                    </Field>
                    {text('target')}
                    {suggest('trigger')}
                    {suggest('role')}
                    {text('group')}
                    {text('parent', 'Id of a job')}
                    {text('id')}
                    <Field label="Kind">
                        {(a) => (
                            <select {...a} name="kind" key={filters.kind ?? ''}>
                                {[['', 'all'], ['document', 'one document'], ['set', 'many documents'], ['dry-run', 'dry runs'], ['background', 'background work'], ['full-sync', 'full syncs'], ['compare', 'compares'], ['apply', 'applied dry runs'], ['revert', 'reverts']].map(([value, label]) => <option key={value} value={value} selected={value === (filters.kind ?? '')}>{label}</option>)}
                            </select>
                        )}
                    </Field>
                </div>
            </details>
            <div class="tools">
                <span class="submit"><Button type="submit" kind="primary">Filter</Button></span>
                <span class="filter-toggle"><Button aria-expanded={open} onClick={() => setOpen(!open)}>{open ? 'Hide the filters' : 'Filters'}</Button></span>
                <Chosen filters={filters} />
            </div>
        </form>
    )
}
