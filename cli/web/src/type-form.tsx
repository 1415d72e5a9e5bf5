// The form to create a type, and to change one. While the user types, the database says what is wrong with the definition, and the form shows it at the field.
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { at, getJson, postJson, raw } from './api.ts'
import { checkObject } from './json-editor.tsx'
import { FindingText, MappingEditor } from './mapping-editor.tsx'
import { go, href } from './router.ts'
import type { Finding, TableRow } from './shapes.ts'
import { Button, Check, Field, Problem, tell } from './ui.tsx'
import { useUnsaved } from './unsaved.ts'

type Kind = 'text' | 'number' | 'boolean' | 'list' | 'json' | 'long'
type Spec = { name: string; label: string; kind: Kind; hint?: string; choices?: [string, string][]; table?: boolean }

const basics: Spec[] = [
    { name: 'name', label: 'Name', kind: 'text' },
    { name: 'source_document_type', label: 'Source table', kind: 'text', table: true },
    { name: 'target_document_type', label: 'Target table', kind: 'text', table: true },
    { name: 'description', label: 'Description', kind: 'long' },
]
const running: Spec[] = [
    { name: 'queue', label: 'Queue', kind: 'text' },
    { name: 'priority', label: 'Priority', kind: 'number', hint: 'Lower runs first' },
    { name: 'timeout', label: 'Time limit of an attempt', kind: 'text', hint: 'As in 5 minutes; empty: that of the queue' },
    { name: 'max_retries', label: 'Retries', kind: 'number' },
    { name: 'retry_delay', label: 'Wait before the first retry', kind: 'text' },
    { name: 'retry_backoff', label: 'Next waits', kind: 'text', choices: [['linear', 'grow linearly'], ['constant', 'stay the same'], ['exponential', 'double']] },
    { name: 'concurrency_limit', label: 'At most so many at a time', kind: 'number', hint: 'Empty: no limit' },
    { name: 'set_size', label: 'Documents in a set job', kind: 'number', hint: '1 to 1000' },
    { name: 'batchable', label: 'Shares a transaction with its neighbours in the queue', kind: 'text', choices: [['', 'as its kind of controller does'], ['true', 'yes'], ['false', 'no']] },
    { name: 'run_as', label: 'Runs as the role', kind: 'text', hint: 'Empty: the owner of the target' },
]
const conditions: Spec[] = [
    { name: 'source_condition', label: 'Only sources for which', kind: 'text', hint: 'SQL over source, as in source.active' },
    { name: 'surplus_condition', label: 'Targets that may be surplus', kind: 'text', hint: 'SQL over target' },
    { name: 'on_delete', label: 'When the source is gone', kind: 'text', hint: 'delete, keep, or {"column": value}' },
    { name: 'source_key', label: 'Key of the source', kind: 'list', hint: 'Columns, with commas; empty: its primary key' },
    { name: 'target_key', label: 'Key of the target', kind: 'list', hint: 'Columns, with commas; empty: its primary key' },
    { name: 'secret_columns', label: 'Secret columns', kind: 'list', hint: 'Their values are recorded nowhere' },
    { name: 'module', label: 'Schema of the functions', kind: 'text', hint: 'For a controller of functions' },
    { name: 'library', label: 'Library', kind: 'text', hint: 'For a native controller; only superusers name one' },
    { name: 'http', label: 'HTTP push', kind: 'json', hint: 'A JSON object: {"server": …, "path": …}, for a type that sends its documents' },
    { name: 'library_trusted', label: 'A superuser has confirmed the library', kind: 'text', choices: [['', '–'], ['true', 'yes'], ['false', 'no']] },
]
const switches: Spec[] = [
    { name: 'insert_enabled', label: 'May insert', kind: 'boolean' },
    { name: 'update_enabled', label: 'May update', kind: 'boolean' },
    { name: 'delete_enabled', label: 'May delete', kind: 'boolean' },
    { name: 'ignore_synced', label: 'Ignores what other jobs wrote back', kind: 'boolean' },
    { name: 'verbose_logging', label: 'Keeps messages and snapshots', kind: 'boolean' },
    { name: 'publish_events', label: 'Sends an event at each end', kind: 'boolean' },
    { name: 'publish_starts', label: 'Sends an event at each start', kind: 'boolean' },
    { name: 'disabled', label: 'Disabled: enqueues nothing', kind: 'boolean' },
    { name: 'is_standard', label: 'Comes with an application', kind: 'boolean' },
]
const mappings: Spec[] = [{ name: 'match', label: 'Match', kind: 'json' }, { name: 'field_map', label: 'Columns', kind: 'json' }]
const specs = [...basics, ...running, ...conditions, ...switches, ...mappings]

const defaults: Record<string, string> = {
    queue: 'default', priority: '0', max_retries: '3', retry_delay: '1 minute', retry_backoff: 'linear', set_size: '1', on_delete: 'delete',
    insert_enabled: 'true', update_enabled: 'true', delete_enabled: 'true',
}

type Values = Record<string, string>

function asText(value: unknown): string {
    if (value === null || value === undefined) return ''
    return Array.isArray(value) ? value.join(', ') : String(value)
}
const initial = (type: Record<string, unknown> | null): Values =>
    Object.fromEntries(specs.map(({ name }) => [name, type ? asText(type[name]) : (defaults[name] ?? '')]))

function asJson(spec: Spec, text: string): unknown {
    if (spec.kind === 'boolean') return text === 'true'
    if (text.trim() === '') return null
    if (spec.kind === 'list') return text.split(',').map((part) => part.trim()).filter(Boolean)
    if (spec.kind === 'json') return raw(text)
    return spec.kind === 'number' && /^-?\d+$/.test(text.trim()) ? raw(text.trim()) : text
}

// For a new type everything that differs from the defaults, for an existing one what has been changed.
function definition(values: Values, before: Values): Record<string, unknown> {
    return Object.fromEntries(specs.filter(({ name }) => values[name] !== before[name]).map((spec) => [spec.name, asJson(spec, values[spec.name]!)]))
}

const wellFormed = (values: Values): boolean => specs.filter(({ kind }) => kind === 'json').every(({ name }) => checkObject(values[name]!) === '')

function useFindings(values: Values, before: Values, name: string | null): { findings: Finding[]; checking: boolean; error: unknown } {
    const [state, setState] = useState<{ findings: Finding[]; checking: boolean; error: unknown }>({ findings: [], checking: false, error: null })
    const text = JSON.stringify(values)
    useEffect(() => {
        if (!wellFormed(values) || (!name && !values.name)) return
        let current = true
        setState((old) => ({ ...old, checking: true }))
        const timer = setTimeout(() => {
            postJson<{ findings: Finding[] }>('types/validate', { name, definition: definition(values, before) }, 'validate').then(
                ({ findings }) => current && setState({ findings: findings ?? [], checking: false, error: null }),
                (error) => current && setState({ findings: [], checking: false, error }),
            )
        }, 400)
        return () => {
            current = false
            clearTimeout(timer)
        }
    }, [text, name])
    return state
}

function useTable(name: string): TableRow | null {
    const [table, setTable] = useState<TableRow | null>(null)
    useEffect(() => {
        let current = true
        if (name.trim() === '') return setTable(null)
        const timer = setTimeout(() => {
            getJson<{ rows: TableRow[] }>('tables', { like: name }, `table-${name}`).then(({ rows }) => current && setTable(rows?.find((row) => row.name === name) ?? null), () => {})
        }, 200)
        return () => {
            current = false
            clearTimeout(timer)
        }
    }, [name])
    return table
}

function TableInput({ value, onInput, ...rest }: { value: string; onInput: (value: string) => void; id: string }) {
    const [rows, setRows] = useState<TableRow[]>([])
    const look = (like: string) => getJson<{ rows: TableRow[] }>('tables', { like }, `tables-${rest.id}`).then((answer) => setRows(answer.rows ?? []), () => {})
    return (
        <>
            <input {...rest} value={value} list={`${rest.id}-list`} spellcheck={false} autocomplete="off" onFocus={(e) => void look(e.currentTarget.value)} onInput={(e) => (onInput(e.currentTarget.value), void look(e.currentTarget.value))} />
            <datalist id={`${rest.id}-list`}>{rows.map((row) => <option key={row.name} value={row.name} />)}</datalist>
        </>
    )
}

export function TypeForm({ type, onClose }: { type: (Record<string, unknown> & { name: string }) | null; onClose: () => void }) {
    const [before] = useState(() => initial(type))
    const [values, setValues] = useState(before)
    const [busy, setBusy] = useState(false)
    const [problem, setProblem] = useState<unknown>(null)
    const { findings, checking, error } = useFindings(values, type ? before : initial(null), type?.name ?? null)
    const source = useTable(values.source_document_type!)
    const target = useTable(values.target_document_type!)
    const set = (name: string, value: string) => setValues((old) => ({ ...old, [name]: value }))
    const changed = JSON.stringify(values) !== JSON.stringify(before)
    const setUnsaved = useUnsaved()
    useEffect(() => setUnsaved(changed), [changed])
    const save = async () => {
        setBusy(true)
        setProblem(null)
        try {
            const { name } = await postJson<{ name: string }>(type ? at('types', type.name) : 'types', { definition: definition(values, before) })
            tell('Saved.')
            setUnsaved(false)
            go(href(['types', name ?? values.name!]))
        } catch (failure) {
            setProblem(failure)
        }
        setBusy(false)
    }
    const fields = (list: Spec[]) => list.map((spec) => <SpecField key={spec.name} spec={spec} value={values[spec.name]!} findings={findings} onChange={(value) => set(spec.name, value)} />)
    const known = new Set(specs.map((spec) => spec.name))
    const others = findings.filter((f) => f.field === null || !known.has(f.field.split('.')[0]!))
    return (
        <form class="type-form" onSubmit={(e) => (e.preventDefault(), void save())}>
            <Group title="What is synced">{fields(basics)}</Group>
            <div class="card">
                {mappings.map(({ name, label }) => <MappingEditor key={name} field={name as 'match' | 'field_map'} label={label} text={values[name]!} onChange={(text) => set(name, text)} source={source} target={target} findings={findings} />)}
            </div>
            <Group title="How it runs">{fields(running)}</Group>
            <Group title="Which rows">{fields(conditions)}</Group>
            <Group title="Switches">{fields(switches)}</Group>
            <div class="findings" role="status" aria-live="polite">
                {others.map((f, i) => <FindingText key={i} finding={f} />)}
                <Summary findings={findings} checking={checking} />
            </div>
            <Problem error={error} />
            <Problem error={problem} />
            <div class="tools sticky">
                <Button type="submit" kind="primary" busy={busy} disabled={!changed || !values.name || !wellFormed(values)}>{type ? 'Save the changes' : 'Make the type'}</Button>
                <Button onClick={onClose}>Close</Button>
            </div>
        </form>
    )
}

const Group = ({ title, children }: { title: string; children: ComponentChildren }) => <fieldset class="card grid"><legend>{title}</legend>{children}</fieldset>

function Summary({ findings, checking }: { findings: Finding[]; checking: boolean }) {
    const errors = findings.filter((f) => f.severity === 'error').length
    const warnings = findings.length - errors
    if (checking) return <p class="dim">Checking …</p>
    if (findings.length === 0) return <p class="good">✓ Nothing is wrong with it.</p>
    return <p>{[errors && `${errors} ${errors === 1 ? 'error' : 'errors'}`, warnings && `${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`].filter(Boolean).join(', ')}</p>
}

function SpecField({ spec, value, findings, onChange }: { spec: Spec; value: string; findings: Finding[]; onChange: (value: string) => void }) {
    const own = findings.filter((f) => f.field === spec.name || f.field?.startsWith(`${spec.name}.`))
    const error = own.length ? own.map((f, i) => <FindingText key={i} finding={f} />) : undefined
    if (spec.kind === 'boolean') return <div data-field={spec.name}><Check label={spec.label} value={value === 'true'} onChange={(on) => onChange(String(on))} />{error}</div>
    return (
        <div data-field={spec.name}>
            <Field label={spec.label} hint={spec.hint} error={error} warning={own.every((f) => f.severity !== 'error')}>
                {(a) => {
                    if (spec.table) return <TableInput {...a} value={value} onInput={onChange} />
                    if (spec.choices) return <select {...a} value={value} onChange={(e) => onChange(e.currentTarget.value)}>{spec.choices.map(([v, label]) => <option key={v} value={v}>{label}</option>)}</select>
                    if (spec.kind === 'long' || spec.kind === 'json') return <textarea {...a} rows={2} value={value} onInput={(e) => onChange(e.currentTarget.value)} />
                    return <input {...a} value={value} inputMode={spec.kind === 'number' ? 'numeric' : undefined} required={spec.name === 'name'} spellcheck={false} autocomplete="off" onInput={(e) => onChange(e.currentTarget.value)} />
                }}
            </Field>
        </div>
    )
}
