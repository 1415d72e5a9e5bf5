// The building blocks of pages. Every text from the database becomes a text node, never markup.
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useId, useRef, useState } from 'preact/hooks'
import { ApiError, errorText } from './api.ts'
import type { Query } from './query.ts'
import { href } from './router.ts'
import { formatTime, relative, zone } from './time.ts'
import { useSetting } from './settings.ts'
import { mayLeave, useUnsaved } from './unsaved.ts'

const marks: Record<string, string> = {
    Pending: '◌', Queued: '○', Started: '▶', Finished: '✓', Skipped: '–', 'No Target': '∅', Relayed: '⇉', Failed: '✕', Canceled: '⊘',
}

export const slug = (text: string): string => text.toLowerCase().replace(/[^a-z]+/g, '-')

export function Status({ of, held }: { of: string; held?: boolean | null }) {
    return (
        <span class={`status ${slug(of)}`}>
            <span aria-hidden="true">{marks[of] ?? '•'}</span> {of}
            {held ? ' (held)' : ''}
        </span>
    )
}

export const Badge = ({ kind = '', children }: { kind?: string; children: ComponentChildren }) => <span class={`badge ${kind}`}>{children}</span>

// The time in the chosen zone, or its age. The tooltip shows it in UTC.
export function Time({ of, age = false }: { of: string | null | undefined; age?: boolean }) {
    useSetting(zone)
    if (!of) return <span class="none">–</span>
    return (
        <time dateTime={of} title={`${formatTime(of, true)} UTC, ${relative(of)}`}>
            {age ? relative(of) : formatTime(of)}
        </time>
    )
}

export const JobLink = ({ id, children }: { id: string; children?: ComponentChildren }) => <a href={href(['jobs', id])}>{children ?? `#${id}`}</a>
export const TypeLink = ({ name }: { name: string }) => <a href={href(['types', name])}>{name}</a>

// What went wrong, in PostgreSQL's terms: message, detail, hint, code.
export function Problem({ error }: { error: unknown }) {
    if (!error) return null
    return <div class="problem" role="alert"><ErrorText error={error} /></div>
}

function ErrorText({ error }: { error: unknown }) {
    const known = error instanceof ApiError ? error : null
    return (
        <>
            <strong>{errorText(error)}</strong>
            {known?.detail && <p>{known.detail}</p>}
            {known?.hint && <p>{known.hint}</p>}
            {known && /^[0-9A-Z]{5}$/.test(known.code) && <p class="dim">SQLSTATE {known.code}</p>}
        </>
    )
}

// The answer to a query; until it is there, or instead of it, that it is loading or what is wrong. Old data stays visible next to an error.
export function Loaded<T>({ query, children }: { query: Query<T>; children: (data: T) => ComponentChildren }) {
    return (
        <>
            <Problem error={query.error} />
            {query.data ? children(query.data) : !query.error && <p class="dim" aria-busy="true">Loading …</p>}
        </>
    )
}

export function Bar({ percent, label }: { percent: number | null; label: string }) {
    const known = percent !== null && percent !== undefined
    const value = known ? Math.max(0, Math.min(100, Number(percent))) : undefined
    return (
        <span class="bar">
            <progress max={100} value={value} aria-label={label} />
            <span class="number">{known ? `${value!.toFixed(value! < 10 ? 1 : 0)} %` : '…'}</span>
        </span>
    )
}

type ButtonProps = JSX.HTMLAttributes<HTMLButtonElement> & { kind?: 'plain' | 'primary' | 'danger' | 'quiet'; busy?: boolean; disabled?: boolean; type?: 'button' | 'submit' }
export function Button({ kind = 'plain', busy = false, disabled = false, type = 'button', children, ...rest }: ButtonProps) {
    return (
        <button type={type} {...rest} class={`button ${kind}`} disabled={disabled || busy} aria-busy={busy || undefined}>
            {children}
        </button>
    )
}

type FieldProps = { label: string; hint?: ComponentChildren; error?: ComponentChildren; warning?: boolean; children: (attributes: { id: string; 'aria-describedby'?: string; 'aria-invalid'?: boolean }) => ComponentChildren }
export function Field({ label, hint, error, warning, children }: FieldProps) {
    const id = useId()
    const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(' ')
    return (
        <div class={`field ${error ? (warning ? 'warned' : 'wrong') : ''}`}>
            <label for={id}>{label}</label>
            {children({ id, 'aria-describedby': described || undefined, 'aria-invalid': error && !warning ? true : undefined })}
            {hint && <div class="hint" id={`${id}-hint`}>{hint}</div>}
            {error && <div class="finding" id={`${id}-error`}>{error}</div>}
        </div>
    )
}

export const Check = ({ label, value, onChange, hint }: { label: string; value: boolean; onChange: (value: boolean) => void; hint?: string }) => {
    const id = useId()
    return (
        <div class="check">
            <input id={id} type="checkbox" checked={value} onChange={(e) => onChange(e.currentTarget.checked)} aria-describedby={hint ? `${id}-hint` : undefined} />
            <label for={id}>{label}</label>
            {hint && <span class="hint" id={`${id}-hint`}>{hint}</span>}
        </div>
    )
}

// The browser's own modal dialog: it keeps the focus inside, and gives it back.
export function Dialog({ title, onClose, children, wide = false }: { title: string; onClose: () => void; children: ComponentChildren; wide?: boolean }) {
    const box = useRef<HTMLDialogElement>(null)
    const id = useId()
    const gone = useRef(false)
    useEffect(() => {
        const element = box.current!
        const before = document.activeElement as HTMLElement | null
        element.showModal()
        element.querySelector<HTMLElement>('input, textarea, select')?.focus()
        return () => {
            gone.current = true
            element.close()
            before?.focus?.()
        }
    }, [])
    // A browser may close it without asking.
    const closed = () => {
        if (gone.current) return
        onClose()
        if (!gone.current) box.current?.showModal()
    }
    return (
        <dialog ref={box} aria-labelledby={id} class={wide ? 'wide' : ''} onCancel={(e) => (e.preventDefault(), onClose())} onClose={closed}>
            <header>
                <h2 id={id}>{title}</h2>
                <Button kind="quiet" aria-label="Close" onClick={onClose}>✕</Button>
            </header>
            {children}
        </dialog>
    )
}

type FormProps = { title: string; button: string; kind?: 'primary' | 'danger'; disabled?: boolean; wide?: boolean; work: () => Promise<unknown>; onClose: () => void; children: ComponentChildren }

// Asks for something and does it. Errors are shown inside: behind a modal dialog nobody sees or reaches anything.
export function FormDialog({ title, button, kind = 'primary', disabled = false, wide = false, work, onClose, children }: FormProps) {
    const [busy, setBusy] = useState(false)
    const [problem, setProblem] = useState<unknown>(null)
    const setUnsaved = useUnsaved()
    const submit = async () => {
        setBusy(true)
        setProblem(null)
        setUnsaved(false)
        await work().catch((failure) => (setUnsaved(true), setProblem(failure)))
        setBusy(false)
    }
    const close = () => {
        if (mayLeave()) onClose()
    }
    return (
        <Dialog title={title} onClose={close} wide={wide}>
            <form onInput={() => setUnsaved(true)} onSubmit={(e) => (e.preventDefault(), void submit())}>
                {children}
                <Problem error={problem} />
                <div class="tools">
                    <Button type="submit" kind={kind} busy={busy} disabled={disabled}>{button}</Button>
                    <Button onClick={close}>Close</Button>
                </div>
            </form>
        </Dialog>
    )
}

// What has just happened, on the screen and for a screen reader.
type Message = { id: number; text?: string; error?: unknown }
let say: (message: Omit<Message, 'id'>) => void = () => {}
export const tell = (text: string): void => say({ text })
export const tellError = (error: unknown): void => say({ error })

export function Messages() {
    const [list, setList] = useState<Message[]>([])
    const drop = (id: number) => setList((old) => old.filter((m) => m.id !== id))
    say = (message) => {
        const id = Date.now() + Math.random()
        setList((old) => [...old.slice(-3), { ...message, id }])
        if (!message.error) setTimeout(() => drop(id), 8000)
    }
    return (
        <div class="messages" role="status" aria-live="polite">
            {list.map(({ id, text, error }) => (
                <div key={id} class={`message ${error ? 'wrong' : ''}`}>
                    <div>{error ? <ErrorText error={error} /> : text}</div>
                    <Button kind="quiet" aria-label="Dismiss" onClick={() => drop(id)}>✕</Button>
                </div>
            ))}
        </div>
    )
}

// Runs something, only once at a time, and shows how it went.
export function useAction(): [boolean, (work: () => Promise<string | void>) => Promise<boolean>] {
    const [busy, setBusy] = useState(false)
    const run = async (work: () => Promise<string | void>): Promise<boolean> => {
        setBusy(true)
        try {
            const text = await work()
            if (text) tell(text)
            return true
        } catch (error) {
            tellError(error)
            return false
        } finally {
            setBusy(false)
        }
    }
    return [busy, run]
}

export type Column<T> = { name: string; head?: ComponentChildren; numeric?: boolean; class?: string; cell: (row: T) => ComponentChildren }

// A table that becomes a list of cards on a phone: each cell knows its heading.
export function Table<T>({ caption, columns, rows, id, empty = 'Nothing here.' }: { caption: string; columns: Column<T>[]; rows: T[] | null | undefined; id: (row: T) => string; empty?: ComponentChildren }) {
    if (!rows?.length) return <p class="dim">{empty}</p>
    return (
        <div class="scroll">
            <table>
                <caption class="unseen">{caption}</caption>
                <thead>
                    <tr>{columns.map((c) => <th key={c.name} scope="col" class={c.numeric ? 'numeric' : ''}>{c.head ?? c.name}</th>)}</tr>
                </thead>
                <tbody>
                    {rows.map((row) => (
                        <tr key={id(row)}>
                            {columns.map((c) => <td key={c.name} data-head={c.name} class={c.numeric ? 'numeric' : c.class}>{c.cell(row)}</td>)}
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    )
}

export const Count = ({ of, more }: { of: number | null | undefined; more?: boolean }) => (
    <span class={of ? 'number' : 'number none'}>{of === null || of === undefined ? '–' : `${of.toLocaleString('en-US')}${more ? '+' : ''}`}</span>
)

// The heading of a page, which is also the title of the window.
export function Heading({ children, aside }: { children: ComponentChildren; aside?: ComponentChildren }) {
    const heading = useRef<HTMLHeadingElement>(null)
    useEffect(() => void (document.title = `${heading.current!.textContent} · pg_sync_job`))
    return (
        <div class="heading">
            <h1 ref={heading}>{children}</h1>
            {aside && <div class="aside">{aside}</div>}
        </div>
    )
}

export function Tabs({ tabs, current, link }: { tabs: [string, ComponentChildren][]; current: string; link: (tab: string) => string }) {
    return (
        <nav class="tabs" aria-label="Parts of this page">
            {tabs.map(([name, label]) => <a key={name} href={link(name)} aria-current={name === current ? 'page' : undefined}>{label}</a>)}
        </nav>
    )
}
