// Starts work on a type: a full sync with all its limits, a compare, or a single document.
import { useState } from 'preact/hooks'
import { at, postJson, raw } from './api.ts'
import { JsonEditor, checkObject } from './json-editor.tsx'
import { go, href } from './router.ts'
import { Check, Field, FormDialog } from './ui.tsx'

type Option = { name: string; label: string; hint?: string; initial?: string; whole?: boolean }
const limits: Option[] = [
    { name: 'max_change_percent', label: 'Stop when more than so many percent of the targets would change', initial: '50' },
    { name: 'max_delete_percent', label: 'Stop when more than so many percent would be deleted', initial: '10' },
    { name: 'max_changes', label: 'Stop at more than so many changes', hint: 'Empty: no limit' },
    { name: 'documents_per_second', label: 'Documents a second, at most', hint: 'Empty: as fast as it can' },
    { name: 'chunk_size', label: 'Documents in a transaction', initial: '500' },
    { name: 'priority', label: 'Priority', hint: 'Empty: after the changes' },
    { name: 'queue', label: 'Queue', hint: 'Empty: that of the type' },
    { name: 'scheduled_at', label: 'Not before', hint: 'As 2026-12-01 03:00+00; empty: at once' },
    { name: 'job_id', label: 'Key of your own' },
]
const flags: Option[] = [
    { name: 'dry_run', label: 'Only compare and count', hint: 'writes nothing' },
    { name: 'delete_surplus', label: 'Delete the targets that have no source' },
    { name: 'check_first', label: 'Compare all before the first write', hint: 'for types with functions' },
    { name: 'adopt', label: 'Values that nobody is known to have written count as synced' },
    { name: 'deduplicate', label: 'Take the run that is there already, if there is one' },
]

const given = (values: Record<string, string>): Record<string, unknown> =>
    Object.fromEntries(Object.entries(values).filter(([, text]) => text.trim() !== '').map(([name, text]) => [name, text.trim()]))

// Enqueues, and goes to the job.
async function begin(path: string, body: Record<string, unknown>, onClose: () => void): Promise<void> {
    const { id } = await postJson<{ id: string }>(path, body)
    onClose()
    go(href(['jobs', id]))
}

export function FullSyncDialog({ name, condition, onClose }: { name: string; condition: boolean; onClose: () => void }) {
    const [values, setValues] = useState<Record<string, string>>(() => Object.fromEntries(limits.map((o) => [o.name, o.initial ?? ''])))
    const [on, setOn] = useState<Record<string, boolean>>({})
    const [where, setWhere] = useState('')
    const work = () => begin(at('types', name, 'full-sync'), { ...given({ ...values, condition: where }), ...on }, onClose)
    return (
        <FormDialog title={`Full sync of ${name}`} button={on.dry_run ? 'Compare and count' : 'Start the full sync'} kind={on.delete_surplus && !on.dry_run ? 'danger' : 'primary'} wide work={work} onClose={onClose}>
            <p>One job brings all documents of the type in step. It stops before it has written anything when more would change than the limits allow.</p>
            <div class="checks">{flags.map((o) => <Check key={o.name} label={o.label} hint={o.hint} value={on[o.name] ?? false} onChange={(value) => setOn({ ...on, [o.name]: value })} />)}</div>
            {condition && <Condition value={where} onChange={setWhere} />}
            <div class="grid">
                {limits.map((o) => <Field key={o.name} label={o.label} hint={o.hint}>{(a) => <input {...a} value={values[o.name]} onInput={(e) => setValues({ ...values, [o.name]: e.currentTarget.value })} />}</Field>)}
            </div>
        </FormDialog>
    )
}

// SQL that runs as run_as: only for users who may become it.
const Condition = ({ value, onChange }: { value: string; onChange: (text: string) => void }) => (
    <Field label="Only sources for which" hint="SQL over the source; runs as the role of the type">{(a) => <input {...a} class="code" value={value} spellcheck={false} onInput={(e) => onChange(e.currentTarget.value)} />}</Field>
)

export function CompareDialog({ name, condition, onClose }: { name: string; condition: boolean; onClose: () => void }) {
    const [rows, setRows] = useState('1000')
    const [where, setWhere] = useState('')
    return (
        <FormDialog title={`Compare ${name}`} button="Compare" work={() => begin(at('types', name, 'compare'), given({ max_rows: rows, condition: where }), onClose)} onClose={onClose}>
            <p>A worker tells which documents are out of step. It writes nothing.</p>
            {condition && <Condition value={where} onChange={setWhere} />}
            <Field label="Documents to list, at most">{(a) => <input {...a} inputMode="numeric" value={rows} onInput={(e) => setRows(e.currentTarget.value)} />}</Field>
        </FormDialog>
    )
}

// An operator who may not enqueue jobs of the type may still try a document.
export function EnqueueDialog({ name, dryOnly, onClose }: { name: string; dryOnly: boolean; onClose: () => void }) {
    const [document, setDocument] = useState('')
    const [context, setContext] = useState('')
    const [dryRun, setDryRun] = useState(dryOnly)
    const body = () => ({ sync_job_type: name, ...(document === '' ? {} : { source_document_name: document }), dry_run: dryRun, ...(context.trim() ? { context: raw(context) } : {}) })
    return (
        <FormDialog title={dryOnly ? `Dry run of ${name}` : `Enqueue a job of ${name}`} button={dryRun ? 'Try it' : 'Enqueue'} disabled={checkObject(context) !== ''} work={() => begin('jobs', body(), onClose)} onClose={onClose}>
            <Field label="Document" hint="Its key, as text">{(a) => <input {...a} value={document} autocomplete="off" spellcheck={false} onInput={(e) => setDocument(e.currentTarget.value)} />}</Field>
            {dryOnly ? <p>A worker tries it and keeps the diff. It writes nothing.</p> : (
                <>
                    <JsonEditor label="Context" text={context} onChange={setContext} rows={4} hint="A JSON object for the controller; may be empty" />
                    <Check label="Dry run" hint="tries it and keeps the diff, writes nothing" value={dryRun} onChange={setDryRun} />
                </>
            )}
        </FormDialog>
    )
}
