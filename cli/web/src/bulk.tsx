// One action on many jobs: first a preview of the jobs concerned, then steps of at most 500 jobs, each of them committed, with a progress bar and a way to stop.
// It acts on the ids of the preview, and not on jobs that have come since.
import { useEffect, useRef, useState } from 'preact/hooks'
import { at, getJson, postJson } from './api.ts'
import type { Filters } from './filters.tsx'
import type { ActionAnswer, Failure, JobRow } from './shapes.ts'
import { Button, Check, Count, Dialog, Field, Problem, Status } from './ui.tsx'

const step = 500
const most = 100_000

type Preview = { ids: string[]; more: boolean; by_status: Record<string, number>; sample: JobRow[] }

type Action = { name: string; label: string; states: string[]; what: string; danger?: boolean; atOnce?: boolean }
const actions: Action[] = [
    { name: 'retry', label: 'Retry', states: ['Failed'], what: 'queues failed jobs now' },
    { name: 'cancel', label: 'Cancel', states: ['Pending', 'Queued', 'Failed', 'Started'], what: 'cancels jobs that have not ended', danger: true },
    { name: 'start', label: 'Start', states: ['Pending'], what: 'queues pending jobs' },
    { name: 'rerun', label: 'Rerun', states: ['Finished', 'Skipped', 'No Target', 'Relayed', 'Failed', 'Canceled'], what: 'enqueues ended jobs once more, as new jobs' },
    { name: 'apply', label: 'Apply', states: ['Finished'], what: 'makes dry runs of one type real, all or none', atOnce: true },
    { name: 'revert', label: 'Revert', states: ['Finished'], what: 'undoes finished jobs of one type, all or none', danger: true, atOnce: true },
    { name: 'delete', label: 'Delete', states: ['Finished', 'Skipped', 'No Target', 'Relayed', 'Failed', 'Canceled'], what: 'deletes ended jobs from the history', danger: true },
]

export type Chosen = { ids: string[]; rows: JobRow[] } | { filters: Filters }

function counts(rows: JobRow[]): Record<string, number> {
    const result: Record<string, number> = {}
    for (const row of rows) result[row.status] = (result[row.status] ?? 0) + 1
    return result
}

export function BulkDialog({ chosen, onClose }: { chosen: Chosen; onClose: () => void }) {
    const [preview, setPreview] = useState<Preview | null>(null)
    const [error, setError] = useState<unknown>(null)
    const [order, setOrder] = useState<{ action: Action; body: Record<string, unknown> } | null>(null)
    // While it runs, the dialog cannot be closed without stopping it.
    const busy = useRef(false)
    const close = () => busy.current || onClose()
    useEffect(() => {
        if ('ids' in chosen) return setPreview({ ids: chosen.ids, more: false, by_status: counts(chosen.rows), sample: chosen.rows.slice(0, 5) })
        getJson<Preview>('jobs/ids', { ...chosen.filters, limit: most }, 'preview').then(setPreview, setError)
    }, [])
    return (
        <Dialog onClose={close} wide title={order ? `${order.action.label} ${preview!.ids.length.toLocaleString('en-US')} jobs` : 'Act on many jobs'}>
            <Problem error={error} />
            {!preview && !error && <p aria-busy="true">Counting what matches …</p>}
            {preview && !order && <Choose preview={preview} onChoose={(action, body) => setOrder({ action, body })} onClose={onClose} />}
            {preview && order && <Run ids={preview.ids} action={order.action} body={order.body} onBusy={(value) => (busy.current = value)} onClose={onClose} />}
        </Dialog>
    )
}

function Choose({ preview, onChoose, onClose }: { preview: Preview; onChoose: (action: Action, body: Record<string, unknown>) => void; onClose: () => void }) {
    const fitting = (action: Action) => action.states.reduce((sum, state) => sum + (preview.by_status[state] ?? 0), 0)
    const [name, setName] = useState(() => actions.find((action) => fitting(action) > 0)?.name ?? 'retry')
    const [reason, setReason] = useState('')
    const [running, setRunning] = useState(false)
    const action = actions.find((a) => a.name === name)!
    const tooMany = action.atOnce && preview.ids.length > step
    const body = name === 'cancel' ? { reason: reason || null, running } : {}
    return (
        <form onSubmit={(e) => (e.preventDefault(), onChoose(action, body))}>
            <p>
                <strong>{preview.ids.length.toLocaleString('en-US')} jobs</strong>
                {preview.more && `, the newest of those that match: no more than ${most.toLocaleString('en-US')} at once`}. Jobs that come later are not touched.
            </p>
            <ul class="counts">{Object.entries(preview.by_status ?? {}).map(([state, n]) => <li key={state}><Status of={state} /> <Count of={n} /></li>)}</ul>
            <Sample rows={preview.sample ?? []} all={preview.ids.length} />
            <fieldset class="choices">
                <legend>What to do</legend>
                {actions.map((a) => (
                    <label key={a.name} class={fitting(a) ? '' : 'dim'}>
                        <input type="radio" name="action" value={a.name} checked={a.name === name} disabled={!fitting(a)} onChange={() => setName(a.name)} />
                        <b>{a.label}</b> {a.what} <span class="dim">({fitting(a).toLocaleString('en-US')} of them)</span>
                    </label>
                ))}
            </fieldset>
            {name === 'cancel' && (
                <>
                    <Field label="Reason">{(a) => <input {...a} value={reason} onInput={(e) => setReason(e.currentTarget.value)} />}</Field>
                    <Check label="Also those that run now" value={running} onChange={setRunning} />
                </>
            )}
            {tooMany && <p class="problem">At most {step} jobs can be done in one go, all or none. Narrow the filter.</p>}
            <div class="tools">
                <Button type="submit" kind={action.danger ? 'danger' : 'primary'} disabled={fitting(action) === 0 || tooMany}>{action.label} {fitting(action).toLocaleString('en-US')} jobs</Button>
                <Button onClick={onClose}>Close</Button>
            </div>
        </form>
    )
}

function Sample({ rows, all }: { rows: JobRow[]; all: number }) {
    if (rows.length === 0) return null
    return (
        <ul class="sample" aria-label="The first of them">
            {rows.map((row) => <li key={row.id}><span class="number">#{row.id}</span> <Status of={row.status} /> {row.sync_job_type} <span class="dim">{row.title}</span></li>)}
            {all > rows.length && <li class="dim">and {(all - rows.length).toLocaleString('en-US')} more</li>}
        </ul>
    )
}

type Tally = { rest: string[]; at: number; done: number; left: number; errors: Map<string, { failure: Failure; ids: string[] }>; job: string | null }

const notReached = '57014' // the server ran out of time before this job: it is sent again

type RunProps = { ids: string[]; action: Action; body: Record<string, unknown>; onBusy: (busy: boolean) => void; onClose: () => void }

function Run({ ids, action, body, onBusy, onClose }: RunProps) {
    const [tally, setTally] = useState<Tally>({ rest: ids, at: 0, done: 0, left: 0, errors: new Map(), job: null })
    const [state, setState] = useState<'running' | 'stopping' | 'stopped' | 'done'>('running')
    const [problem, setProblem] = useState<unknown>(null)
    const stop = useRef(false)

    const work = async (before: Tally) => {
        onBusy(true)
        stop.current = false
        setState('running')
        setProblem(null)
        let now = before
        try {
            while (now.rest.length > 0 && !stop.current) {
                const part = now.rest.slice(0, step)
                const next = after(now, part, await postJson<ActionAnswer>(at('jobs', action.name), { ...body, ids: part }))
                if (next.at === now.at) throw new Error('the server has come to none of the jobs of this step: try again later')
                setTally((now = next))
            }
        } catch (error) {
            setProblem(error)
        }
        onBusy(false)
        setState(now.rest.length > 0 ? 'stopped' : 'done')
    }
    useEffect(() => {
        void work(tally)
        return () => void (stop.current = true)
    }, [])
    const busy = state === 'running' || state === 'stopping'
    return (
        <div>
            <p><progress max={ids.length} value={tally.at} aria-label="Progress" /></p>
            <p role="status" class="outcome">
                {{ running: 'Running', stopping: 'Stopping after this step', stopped: 'Stopped', done: 'Done' }[state]}: {tally.at.toLocaleString('en-US')} of {ids.length.toLocaleString('en-US')} looked at,{' '}
                {tally.done.toLocaleString('en-US')} done{tally.left > 0 && `, ${tally.left.toLocaleString('en-US')} left as they were`}.
                {tally.job && <> A worker does it: <a href={`#/jobs/${tally.job}`}>job #{tally.job}</a>.</>}
            </p>
            <Problem error={problem} />
            {tally.errors.size > 0 && (
                <ul class="sample">
                    {[...tally.errors.values()].map(({ failure, ids: which }) => (
                        <li key={failure.message}><b>{which.length.toLocaleString('en-US')}</b> × {failure.message} {failure.hint} <span class="dim">(#{which.slice(0, 3).join(', #')}{which.length > 3 && ', …'})</span></li>
                    ))}
                </ul>
            )}
            <div class="tools">
                {busy && <Button kind="danger" disabled={state === 'stopping'} onClick={() => ((stop.current = true), setState('stopping'))}>Stop</Button>}
                {state === 'stopped' && <Button kind="primary" onClick={() => void work(tally)}>Go on with the other {tally.rest.length.toLocaleString('en-US')}</Button>}
                <Button onClick={onClose} disabled={busy}>Close</Button>
            </div>
        </div>
    )
}

function after(tally: Tally, part: string[], answer: ActionAnswer): Tally {
    const outcomes = answer.outcomes ?? []
    const again = outcomes.filter(({ error }) => error?.code === notReached).map(({ id }) => id)
    const errors = new Map(tally.errors)
    for (const { id, error } of outcomes) {
        if (error && error.code !== notReached) errors.set(error.message, { failure: error, ids: [...(errors.get(error.message)?.ids ?? []), id] })
    }
    const reached = part.length - again.length
    const done = answer.job ? reached : (answer.done ?? 0)
    return {
        rest: [...again, ...tally.rest.slice(part.length)], at: tally.at + reached, done: tally.done + done, left: tally.left + reached - done, errors, job: answer.job ?? tally.job,
    }
}
