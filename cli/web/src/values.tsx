// Values as people read them: JSON in colour, a diff from old to new, a long value that is fetched whole only on request.
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { ApiError, at, getJson } from './api.ts'
import { type Change, changes, compareSnapshots, splitDifference } from './diff.ts'
import { type Json, display, isNull, pretty, stringify, tryParse } from './json.ts'
import { Button, tell, tellError } from './ui.tsx'

const deepest = 4000 // nodes in colour; larger values are shown as plain text

function nodes(value: Json): number {
    if (value.kind === 'array') return value.items.reduce((sum, item) => sum + nodes(item), 1)
    if (value.kind === 'object') return value.entries.reduce((sum, [, item]) => sum + nodes(item), 1)
    return 1
}

function Colored({ value, indent }: { value: Json; indent: string }): ComponentChildren {
    const inner = indent + '  '
    if (value.kind === 'array' || value.kind === 'object') {
        const [open, close] = value.kind === 'array' ? '[]' : '{}'
        const parts: [string | null, Json][] = value.kind === 'array' ? value.items.map((item) => [null, item]) : value.entries
        if (parts.length === 0) return `${open}${close}`
        return (
            <>
                {open}
                {parts.map(([key, item], i) => (
                    <>
                        {`${i ? ',' : ''}\n${inner}`}
                        {key !== null && <><span class="key">{JSON.stringify(key)}</span>{': '}</>}
                        <Colored value={item} indent={inner} />
                    </>
                ))}
                {`\n${indent}${close}`}
            </>
        )
    }
    return <span class={value.kind}>{stringify(value)}</span>
}

export function JsonText({ text }: { text: string }) {
    const value = tryParse(text)
    if (!value || nodes(value) > deepest) return <pre class="json" tabIndex={0}>{pretty(text)}</pre>
    return <pre class="json" tabIndex={0}><Colored value={value} indent="" /></pre>
}

export function Copy({ text, label = 'Copy' }: { text: string; label?: string }) {
    const copy = async () => {
        try {
            await navigator.clipboard.writeText(text)
            tell('Copied.')
        } catch {
            tellError(new Error('the browser does not let the page copy'))
        }
    }
    return <Button kind="quiet" onClick={copy}>{label}</Button>
}

// Of a value longer than 4 MB, the server sends the beginning.
type LongText = { value: string; cut: boolean }
type Where = { job: string; column: string; attempt?: number; document?: { key: string; name: string } } // of one of the job's documents
const fetchLong = ({ job, column, attempt, document }: Where): Promise<LongText> =>
    document ? getJson<LongText>(at('jobs', job, 'documents', 'value'), { column, ...document }, 'value') : getJson<LongText>(at('jobs', job, 'value'), { column, attempt }, 'value')

// For values that go back to the server: the whole value, or an error.
export const wholeValue = async (job: string, column: string): Promise<string> => {
    const { value, cut } = await fetchLong({ job, column })
    if (cut) throw new ApiError(400, '54000', `${column} is longer than 4 MB, too long for the console`, null, 'Use SQL.')
    return value
}

// A column of a job. If the server has cut it, the whole value is fetched on request.
type LongProps = Where & { text: string; cut: boolean; json?: boolean; render?: (text: string) => ComponentChildren }
export function LongValue({ text, cut, json = false, render, ...where }: LongProps) {
    // The whole value belongs to this text, and not to an earlier one.
    const [fetched, setFetched] = useState<{ of: string; long: LongText } | null>(null)
    const [busy, setBusy] = useState(false)
    const long = fetched?.of === text ? fetched.long : null
    const fetchWhole = async () => {
        setBusy(true)
        try {
            setFetched({ of: text, long: await fetchLong(where) })
        } catch (error) {
            tellError(error)
        } finally {
            setBusy(false)
        }
    }
    const shown = long?.value ?? text
    const complete = !(long ?? { cut }).cut
    return (
        <div class="value">
            {complete && render ? render(shown) : json && complete ? <JsonText text={shown} /> : <pre tabIndex={0}>{shown}{!complete && ' …'}</pre>}
            <div class="tools">
                {long?.cut && <span class="none">Longer than 4 MB: only the beginning is shown.</span>}
                {!complete && !long && <Button onClick={fetchWhole} busy={busy}>Show all of it</Button>}
                {complete && <Copy text={shown} />}
            </div>
        </div>
    )
}

const words: Record<string, string> = { '+': 'set', '−': 'emptied', '~': 'changed', '=': 'the same' }

const Empty = () => <span class="none">null</span>

function Old({ row }: { row: Change }) {
    if (row.secret) return <span class="none">not recorded</span>
    if (isNull(row.old)) return <Empty />
    const text = display(row.old!)
    if (row.sign !== '~' || isNull(row.new)) return <del class={row.sign === '=' ? 'same' : ''}>{text}</del>
    const [head, gone, , tail] = splitDifference(text, display(row.new!))
    return <del>{head}<b>{gone}</b>{tail}</del>
}

function New({ row }: { row: Change }) {
    if (row.secret) return <span class="none">not recorded</span>
    if (isNull(row.new)) return <Empty />
    const text = display(row.new!)
    if (row.sign !== '~' || isNull(row.old)) return <ins class={row.sign === '=' ? 'same' : ''}>{text}</ins>
    const [head, , come, tail] = splitDifference(display(row.old!), text)
    return <ins>{head}<b>{come}</b>{tail}</ins>
}

function Changes({ rows, caption }: { rows: Change[]; caption: string }) {
    return (
        <div class="scroll" role="group" aria-label={caption} tabIndex={0}>
            <table class="diff">
                <caption class="unseen">{caption}</caption>
                <thead>
                    <tr><th scope="col"><span class="unseen">Kind</span></th><th scope="col">Column</th><th scope="col">Old</th><th scope="col">New</th></tr>
                </thead>
                <tbody>
                    {rows.map((row) => (
                        <tr key={row.field} class={row.sign === '=' ? 'same' : ''}>
                            <td class="sign" title={words[row.sign]}><span aria-hidden="true">{row.sign}</span><span class="unseen">{words[row.sign]}</span></td>
                            <th scope="row">{row.field}</th>
                            <td data-head="Old"><Old row={row} /></td>
                            <td data-head="New"><New row={row} /></td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    )
}

export function Diff({ text }: { text: string }) {
    const value = tryParse(text)
    const rows = value && changes(value)
    return rows ? <Changes rows={rows} caption="What changed" /> : <JsonText text={text} />
}

export function Snapshots({ before, after }: { before: string; after: string }) {
    const [a, b] = [tryParse(before), tryParse(after)]
    const rows = a && b && compareSnapshots(a, b)
    return rows ? <Changes rows={rows} caption="The target before and after" /> : null
}
