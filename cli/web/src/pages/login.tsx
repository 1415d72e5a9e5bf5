// Log-in as a role of PostgreSQL. There are no other users, and no password is kept.
import { useEffect, useRef, useState } from 'preact/hooks'
import { begin, logIn, useSession } from '../session.ts'
import { Button, Field, Problem } from '../ui.tsx'

function LoginForm({ note }: { note?: string }) {
    const { databases, error, info } = useSession()
    const [problem, setProblem] = useState<unknown>(null)
    const [busy, setBusy] = useState(false)
    const submit = async (form: HTMLFormElement) => {
        const data = new FormData(form)
        setBusy(true)
        setProblem(null)
        try {
            await logIn(String(data.get('database') ?? ''), String(data.get('user')), String(data.get('password')))
        } catch (failure) {
            setProblem(failure)
            const password = form.querySelector<HTMLInputElement>('[name=password]')!
            password.value = ''
            password.focus()
        }
        setBusy(false)
    }
    return (
        <form class="card" onSubmit={(e) => (e.preventDefault(), void submit(e.currentTarget))}>
            <h1>pg_sync_job</h1>
            {note && <p class="note" role="status">{note}</p>}
            <Problem error={error} />
            {error ? <Button onClick={() => void begin()}>Try again</Button> : null}
            <Field label="Database">
                {(a) => <select {...a} name="database">{databases.map((name) => <option key={name} selected={name === info?.database}>{name}</option>)}</select>}
            </Field>
            <Field label="Role">{(a) => <input {...a} name="user" defaultValue={info?.user ?? ''} autocomplete="username" required autofocus spellcheck={false} autocapitalize="none" />}</Field>
            <Field label="Password">{(a) => <input {...a} name="password" type="password" autocomplete="current-password" required />}</Field>
            <Problem error={problem} />
            <Button type="submit" kind="primary" busy={busy}>Log in</Button>
            <p class="dim">A role of PostgreSQL and its password. You see and may do what the database lets this role see and do.</p>
        </form>
    )
}

export const LoginPage = () => <main class="login" id="main"><LoginForm /></main>

// Covers the page, which nobody can see meanwhile.
export function LoginAgain() {
    const box = useRef<HTMLDialogElement>(null)
    useEffect(() => {
        const element = box.current!
        element.showModal()
        return () => element.close()
    }, [])
    return <dialog ref={box} class="login again" aria-label="Log in" onCancel={(e) => e.preventDefault()} onClose={() => box.current?.showModal()}><LoginForm note="Your session has ended. Log in again, and you are where you were." /></dialog>
}
