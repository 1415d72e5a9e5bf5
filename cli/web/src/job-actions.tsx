// Actions on one job. What the database would refuse is not offered, but the database decides.
import { useEffect, useState } from 'preact/hooks'
import { ApiError, at, postJson, raw } from './api.ts'
import { JsonEditor, checkObject } from './json-editor.tsx'
import { pretty } from './json.ts'
import { go, href } from './router.ts'
import { may } from './session.ts'
import type { ActionAnswer, Job, JobAnswer } from './shapes.ts'
import { Button, Check, Field, FormDialog, Problem, tell, useAction } from './ui.tsx'
import { wholeValue } from './values.tsx'

export async function act(action: string, id: string, body: Record<string, unknown> = {}): Promise<ActionAnswer> {
    const answer = await postJson<ActionAnswer>(at('jobs', action), { ...body, ids: [id] })
    const failure = answer.outcomes?.find((outcome) => outcome.error)?.error
    if (failure) throw new ApiError(409, failure.code, failure.message, failure.detail ?? null, failure.hint ?? null)
    return answer
}

function open(answer: ActionAnswer): void {
    const id = answer.job ?? answer.outcomes?.[0]?.job
    if (id) go(href(['jobs', id]))
}

const contextOf = async ({ job, cut }: JobAnswer): Promise<string | null> => {
    if (cut?.includes('context')) return wholeValue(job.id, 'context')
    return job.context === null || job.context === undefined ? null : String(job.context)
}

type Open = '' | 'retry' | 'rerun' | 'cancel' | 'apply' | 'revert' | 'delete'

export function JobActions({ answer, refresh }: { answer: JobAnswer; refresh: () => void }) {
    const { job } = answer
    const allowed = answer.allowed ?? {}
    const [dialog, setDialog] = useState<Open>('')
    const [busy, run] = useAction()
    if (!may.write()) return null
    const now = (action: string, text: string) => run(async () => {
        await act(action, job.id)
        refresh()
        return text
    })
    const dryRun = () => run(async () => {
        const context = allowed.enqueue ? await contextOf(answer) : null // an operator may not give one
        const body = { sync_job_type: job.sync_job_type, source_document_name: job.source_document_name, dry_run: true, ...(context ? { context: raw(context) } : {}) }
        const { id } = await postJson<{ id: string }>('jobs', body)
        go(href(['jobs', id]))
        return `Job #${id} tries it and writes nothing.`
    })
    const close = () => setDialog('')
    const done = (text: string) => {
        close()
        refresh()
        tell(text)
    }
    const again = allowed.dry_run && !job.dry_run && job.source_document_name !== null && !job.documents && !job.procedure
    return (
        <div class="tools actions">
            {allowed.retry && <Button kind="primary" busy={busy} onClick={() => now('retry', 'Queued again.')}>Retry</Button>}
            {allowed.retry && allowed.context !== false && <Button onClick={() => setDialog('retry')}>Retry with another context …</Button>}
            {allowed.start && <Button kind="primary" busy={busy} onClick={() => now('start', 'Queued.')}>Start</Button>}
            {allowed.pause && <Button busy={busy} onClick={() => now('pause', 'Paused.')}>Pause</Button>}
            {allowed.apply && <Button kind="primary" onClick={() => setDialog('apply')}>Apply …</Button>}
            {allowed.revert && <Button onClick={() => setDialog('revert')}>Revert …</Button>}
            {again && <Button busy={busy} onClick={dryRun}>Dry run</Button>}
            {allowed.rerun && <Button onClick={() => setDialog('rerun')}>Rerun …</Button>}
            {allowed.cancel && <Button kind="danger" onClick={() => setDialog('cancel')}>Cancel …</Button>}
            {allowed.delete && <Button kind="danger" onClick={() => setDialog('delete')}>Delete …</Button>}
            {dialog === 'retry' && <ContextDialog answer={answer} action="retry" title={`Retry job #${job.id} with another context`} onClose={close} onDone={() => done('Queued again, with the new context.')} />}
            {dialog === 'rerun' && <ContextDialog answer={answer} action="rerun" title={`Run job #${job.id} once more`} onClose={close} onDone={(a) => (close(), open(a))} />}
            {dialog === 'cancel' && <CancelDialog job={job} onClose={close} onDone={() => done('Canceled.')} />}
            {dialog === 'delete' && (
                <FormDialog title={`Delete job #${job.id}`} button="Delete" kind="danger" onClose={close} work={async () => (await act('delete', job.id), tell('Deleted.'), go(href(['jobs'])))}>
                    <p>The job, its errors and what it recorded are gone for good.</p>
                </FormDialog>
            )}
            {(dialog === 'apply' || dialog === 'revert') && <UndoDialog job={job} action={dialog} onClose={close} onDone={(a) => (close(), open(a))} />}
        </div>
    )
}

type ContextProps = { answer: JobAnswer; action: 'retry' | 'rerun'; title: string; onClose: () => void; onDone: (answer: ActionAnswer) => void }

function ContextDialog({ answer, action, title, onClose, onDone }: ContextProps) {
    const { job } = answer
    const editable = answer.allowed?.context !== false
    const [before, setBefore] = useState<string | null>(null)
    const [text, setText] = useState('')
    const [problem, setProblem] = useState<unknown>(null)
    useEffect(() => {
        contextOf(answer).then((context) => {
            setBefore(pretty(context ?? '{}'))
            setText(pretty(context ?? '{}'))
        }, setProblem)
    }, [])
    const changed = editable && before !== null && text.trim() !== before.trim()
    const work = async () => onDone(await act(action, job.id, changed ? { context: raw(text.trim() || '{}') } : {}))
    return (
        <FormDialog title={title} button={action === 'retry' ? 'Retry' : 'Rerun'} wide disabled={editable && (before === null || checkObject(text) !== '')} work={work} onClose={onClose}>
            <Problem error={problem} />
            {editable ? <JsonEditor label="Context" text={text} onChange={setText} rows={12} hint="What the job's code gets as its parameters" /> : <p>The job gets its context unchanged.</p>}
        </FormDialog>
    )
}

function CancelDialog({ job, onClose, onDone }: { job: Job; onClose: () => void; onDone: () => void }) {
    const [reason, setReason] = useState('')
    const [running, setRunning] = useState(job.status === 'Started')
    return (
        <FormDialog title={`Cancel job #${job.id}`} button="Cancel the job" kind="danger" onClose={onClose} work={async () => (await act('cancel', job.id, { reason: reason || null, running }), onDone())}>
            <Field label="Reason" hint="Kept with the job">{(a) => <input {...a} value={reason} onInput={(e) => setReason(e.currentTarget.value)} />}</Field>
            <Check label="Also while it runs" hint="interrupts it at once" value={running} onChange={setRunning} />
        </FormDialog>
    )
}

function UndoDialog({ job, action, onClose, onDone }: { job: Job; action: 'apply' | 'revert'; onClose: () => void; onDone: (answer: ActionAnswer) => void }) {
    const [skip, setSkip] = useState(false)
    const [title, button, text] = action === 'apply'
        ? [`Apply dry run #${job.id}`, 'Apply', 'A worker writes what the dry run has found, as the role that the job runs as.']
        : [`Revert job #${job.id}`, 'Revert', 'A worker undoes what this job has changed, from its record, as the role that the job runs as.']
    return (
        <FormDialog title={title} button={button} kind={action === 'apply' ? 'primary' : 'danger'} onClose={onClose} work={async () => onDone(await act(action, job.id, { conflicts: skip ? 'skip' : 'fail' }))}>
            <p>{text} It fails where a value has been changed since.</p>
            <Check label="Leave alone what has been changed since" value={skip} onChange={setSkip} />
        </FormDialog>
    )
}
