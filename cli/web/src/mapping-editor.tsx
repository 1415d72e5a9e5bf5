// The rows of `match` or `field_map`: the target column, what it gets, and when.
import { useId, useState } from 'preact/hooks'
import { JsonEditor } from './json-editor.tsx'
import { pretty } from './json.ts'
import { type MapRow, fromRows, toRows } from './mapping.ts'
import type { Finding, TableRow } from './shapes.ts'
import { Button } from './ui.tsx'

type Props = { field: 'match' | 'field_map'; label: string; text: string; onChange: (text: string) => void; source: TableRow | null; target: TableRow | null; findings: Finding[] }

const kinds: [MapRow['kind'], string][] = [['column', 'column'], ['expr', 'expression'], ['value', 'constant']]
const rules: [string, string][] = [['', 'always'], ['insert', 'in an insert'], ['null', 'where it is null'], ['unedited', 'while unedited']]

export const FindingText = ({ finding }: { finding: Finding }) => (
    <div class={`finding ${finding.severity}`}>
        <span aria-hidden="true">{finding.severity === 'error' ? '✕' : '⚠'}</span> <span class="unseen">{finding.severity}: </span>{finding.message}
        {finding.detail && <div class="dim">{finding.detail}</div>}
        {finding.hint && <div class="dim">{finding.hint}</div>}
    </div>
)

export function MappingEditor(props: Props) {
    const { label, text, onChange, field, findings } = props
    // The rows keep what is typed: an empty row is not part of the text yet.
    const [rows, setRows] = useState(() => toRows(text))
    const [asJson, setAsJson] = useState(rows === null)
    const id = useId()
    const own = findings.filter((f) => f.field === field)
    const change = (next: MapRow[]) => {
        setRows(next)
        onChange(fromRows(next))
    }
    const toggle = () => {
        if (!asJson) return setAsJson(true)
        const parsed = toRows(text)
        if (parsed) setRows(parsed), setAsJson(false)
    }
    const empty: MapRow = { target: '', kind: 'column', text: '', only: '' }
    return (
        <fieldset class="mapping" data-field={field}>
            <legend>{label}</legend>
            {own.map((f, i) => <FindingText key={i} finding={f} />)}
            {asJson ? <JsonEditor label={`${label} as JSON`} text={pretty(text)} onChange={onChange} /> : (
                <>
                    {rows!.length > 0 && <div class="map-row head" aria-hidden="true"><span>Target column</span><span>gets</span><span /><span>{field === 'field_map' ? 'when' : ''}</span><span /></div>}
                    {rows!.map((row, i) => (
                        <Row key={i} {...props} row={row} number={i + 1} list={id} onRow={(next) => change(rows!.map((r, n) => (n === i ? next : r)))} onRemove={() => change(rows!.filter((_, n) => n !== i))} />
                    ))}
                </>
            )}
            <datalist id={`${id}-target`}>{props.target?.columns?.map((c) => <option key={c.name} value={c.name}>{c.type}</option>)}</datalist>
            <datalist id={`${id}-source`}>{props.source?.columns?.map((c) => <option key={c.name} value={c.name}>{c.type}</option>)}</datalist>
            <div class="tools">
                {!asJson && <Button onClick={() => change([...rows!, empty])}>Add a column</Button>}
                {!asJson && <SameNames {...props} rows={rows!} onRows={change} />}
                <Button kind="quiet" onClick={toggle}>{asJson ? 'As rows' : 'As JSON'}</Button>
            </div>
        </fieldset>
    )
}

// Adds each column that both tables have under the same name.
function SameNames({ field, source, target, rows, onRows }: Props & { rows: MapRow[]; onRows: (rows: MapRow[]) => void }) {
    const there = new Set(rows.map((row) => row.target))
    const names = (target?.columns ?? []).map((c) => c.name).filter((name) => !there.has(name) && source?.columns?.some((c) => c.name === name))
    if (field !== 'field_map' || names.length === 0) return null
    return <Button onClick={() => onRows([...rows, ...names.map((name): MapRow => ({ target: name, kind: 'column', text: name, only: '' }))])}>Add the {names.length} of the same name</Button>
}

function Row({ row, number, onRow, onRemove, field, list, findings }: Props & { row: MapRow; number: number; list: string; onRow: (row: MapRow) => void; onRemove: () => void }) {
    const own = findings.filter((f) => row.target !== '' && f.field === `${field}.${row.target}`)
    const id = useId()
    const wrong = own.some((f) => f.severity === 'error') || undefined
    const described = own.length ? `${id}-findings` : undefined
    return (
        <>
            <div class={`map-row ${wrong ? 'wrong' : ''}`}>
                <input aria-label={`Target column ${number}`} list={`${list}-target`} value={row.target} onInput={(e) => onRow({ ...row, target: e.currentTarget.value })} aria-invalid={wrong} aria-describedby={described} spellcheck={false} autocomplete="off" />
                <select aria-label={`Kind ${number}`} value={row.kind} onChange={(e) => onRow({ ...row, kind: e.currentTarget.value as MapRow['kind'] })}>
                    {kinds.map(([value, label]) => <option key={value} value={value}>{label}</option>)}
                </select>
                <input aria-label={`Source ${number}`} class={row.kind === 'column' ? '' : 'code'} list={row.kind === 'column' ? `${list}-source` : undefined} value={row.text} onInput={(e) => onRow({ ...row, text: e.currentTarget.value })} aria-invalid={wrong} aria-describedby={described} spellcheck={false} autocomplete="off" />
                {field === 'field_map' ? (
                    <select aria-label={`When ${number}`} value={row.only} onChange={(e) => onRow({ ...row, only: e.currentTarget.value })}>
                        {rules.map(([value, label]) => <option key={value} value={value}>{label}</option>)}
                    </select>
                ) : <span />}
                <Button kind="quiet" aria-label={`Remove column ${number}`} onClick={onRemove}>✕</Button>
            </div>
            {own.length > 0 && <div id={described} class="map-findings">{own.map((f, i) => <FindingText key={i} finding={f} />)}</div>}
        </>
    )
}
