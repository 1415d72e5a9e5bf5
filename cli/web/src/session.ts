// Who is logged in, with which rights. When the session has ended, the page stays as it is and asks to log in again: its address is kept.
import { useEffect, useState } from 'preact/hooks'
import { ApiError, getJson, hasToken, onSessionEnd, postJson, setToken, tokenOfAnotherTab } from './api.ts'
import { setServerTime } from './time.ts'

export type SessionInfo = {
    user: string | null
    database: string
    databases: string[]
    level: string | null
    levels?: string[]
    superuser: boolean
    read_only: boolean
    standby: boolean
    extension_version: string | null
    server_version: string | null
    schema: string | null
    now: string
}

type State = { phase: 'unknown' | 'out' | 'in'; info: SessionInfo | null; databases: string[]; ended: boolean; error: unknown }

let state: State = { phase: 'unknown', info: null, databases: [], ended: false, error: null }
const watchers = new Set<() => void>()

function set(next: Partial<State>): void {
    state = { ...state, ...next }
    for (const watcher of watchers) watcher()
}

export const session = (): State => state
export function useSession(): State {
    const [, draw] = useState(0)
    useEffect(() => {
        const watcher = () => draw((n) => n + 1)
        watchers.add(watcher)
        return () => void watchers.delete(watcher)
    }, [])
    return state
}

onSessionEnd(() => {
    if (state.phase === 'in') set({ phase: 'out', ended: true })
    setToken('')
})

export async function begin(): Promise<void> {
    await tokenOfAnotherTab()
    try {
        const info = await getJson<SessionInfo>('session')
        setServerTime(info.now)
        if (info.user && hasToken()) set({ phase: 'in', info, databases: info.databases ?? [], ended: false, error: null })
        else set({ phase: 'out', databases: info.databases ?? [], error: null })
    } catch (error) {
        const databases = error instanceof ApiError ? (error.body.databases as string[] | undefined) : undefined
        const loggedOut = error instanceof ApiError && error.status === 401
        set({ phase: 'out', databases: databases ?? state.databases, error: loggedOut ? null : error })
    }
}

export async function logIn(database: string, user: string, password: string): Promise<void> {
    const { token } = await postJson<{ token: string }>('login', { database, user, password })
    setToken(token)
    await begin()
}

export async function logOut(): Promise<void> {
    await postJson('logout').catch(() => {})
    setToken('')
    set({ phase: 'out', ended: false, info: null })
    await begin()
}

const has = (level: string): boolean => {
    const info = state.info
    if (!info) return false
    return info.superuser || (info.levels ?? (info.level ?? '').split(/[^a-z]+/)).includes(level)
}

// What the session may not do is not offered. A user without a level may own jobs, and act on them; the database decides.
export const may = {
    write: (): boolean => state.info !== null && !state.info.read_only && !state.info.standby,
    actOnLists: (): boolean => may.write() && (has('operator') || has('manager') || !has('viewer')),
    manage: (): boolean => may.write() && has('manager'),
}
