// Requests to the server. Each carries the session's token; the cookie alone is not enough. A newer request of a slot replaces the older one, here and on
// the server. JSON texts go into a body as they are (raw), so that no number in them is changed on the way.

export class ApiError extends Error {
    constructor(
        readonly status: number, // of HTTP; 0: no answer
        readonly code: string,
        message: string,
        readonly detail: string | null = null,
        readonly hint: string | null = null,
        readonly body: Record<string, unknown> = {},
    ) {
        super(message)
    }
}

export type Values = Record<string, string | number | boolean | null | undefined>

class Raw {
    constructor(readonly text: string) {}
}
export const raw = (text: string): unknown => new Raw(text)

export function encode(value: unknown): string {
    if (value instanceof Raw) return value.text
    if (Array.isArray(value)) return `[${value.map(encode).join(',')}]`
    if (value !== null && typeof value === 'object') {
        const entries = Object.entries(value).filter(([, item]) => item !== undefined)
        return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${encode(item)}`).join(',')}}`
    }
    return JSON.stringify(value)
}

const tokenKey = 'sync-job-token'
// A second tab asks the first one for the token; the tabs of one origin trust each other.
const tabs = 'BroadcastChannel' in window ? new BroadcastChannel('sync-job') : null
const tab = Math.random().toString(36).slice(2, 8) // slots are per tab
let token = sessionStorage.getItem(tokenKey) ?? ''

if (tabs) {
    tabs.onmessage = ({ data }: MessageEvent<{ ask?: boolean; token?: string }>) => {
        if (data.ask && token) tabs.postMessage({ token })
        else if (data.token && !token) setToken(data.token)
    }
}

export function setToken(value: string): void {
    token = value
    if (value) sessionStorage.setItem(tokenKey, value)
    else sessionStorage.removeItem(tokenKey)
}
export const hasToken = (): boolean => token !== ''

// Resolves at once if there is a token, or as soon as another tab has sent its own; after 150 ms at the latest.
export function tokenOfAnotherTab(): Promise<void> {
    if (token || !tabs) return Promise.resolve()
    tabs.postMessage({ ask: true })
    return new Promise((resolve) => {
        const done = () => (clearInterval(look), clearTimeout(limit), resolve())
        const look = setInterval(() => token && done(), 10)
        const limit = setTimeout(done, 150)
    })
}

let ended: () => void = () => {}
export const onSessionEnd = (handler: () => void): void => void (ended = handler)

// byItself: the page sends the request, not its user, so it does not keep an unused session alive.
type Options = { query?: Values; body?: unknown; slot?: string; signal?: AbortSignal; byItself?: boolean }

export async function request(method: 'GET' | 'POST', path: string, options: Options = {}): Promise<Response> {
    const headers: Record<string, string> = { 'X-Sync-Job-Token': token }
    if (method === 'POST') headers['Content-Type'] = 'application/json'
    if (options.byItself) headers['X-Sync-Job-Refresh'] = '1'
    if (options.slot) headers['X-Sync-Job-Slot'] = `${tab}-${options.slot}`
    const sent = token
    const response = await fetch(`api/${path}${search(options.query)}`, {
        method,
        headers,
        signal: options.signal,
        body: method === 'POST' ? encode(options.body ?? {}) : undefined,
        credentials: 'same-origin',
        cache: 'no-store',
    }).catch((error: Error) => {
        if (error.name === 'AbortError') throw error
        throw new ApiError(0, 'network', 'the server does not answer')
    })
    if (response.ok) return response
    const failure = await asError(response)
    if (response.status === 401 && sent && sent === token) ended()
    throw failure
}

function search(query: Values | undefined): string {
    const params = new URLSearchParams()
    for (const [key, value] of Object.entries(query ?? {})) {
        if (value !== null && value !== undefined && value !== '') params.set(key, String(value))
    }
    const text = params.toString()
    return text && `?${text}`
}

async function asError(response: Response): Promise<ApiError> {
    const body = (await response.json().catch(() => ({}))) as Record<string, unknown>
    const error = (body.error ?? {}) as Record<string, string | null>
    const message = error.message ?? `the server answers ${response.status} ${response.statusText}`
    if (error.code === '57014') return new ApiError(response.status, '57014', 'this took too long, and was stopped', null, 'A narrower filter takes less time.', body)
    return new ApiError(response.status, error.code ?? '', message, error.detail ?? null, error.hint ?? null, body)
}

const json = async <T>(response: Promise<Response>): Promise<T> => (await response).json() as Promise<T>

export const getJson = <T>(path: string, query?: Values, slot?: string, signal?: AbortSignal, byItself?: boolean): Promise<T> =>
    json<T>(request('GET', path, { query, slot, signal, byItself }))

export const postJson = <T>(path: string, body: unknown = {}, slot?: string): Promise<T> => json<T>(request('POST', path, { body, slot }))

// A path with each part escaped: the name of a type may be anything.
export const at = (...parts: (string | number)[]): string => parts.map((part) => encodeURIComponent(part)).join('/')

export const errorText = (error: unknown): string => (error instanceof Error ? error.message : String(error))
