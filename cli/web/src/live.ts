// Keeps a page up to date: by the server's hints that something has changed or, if it cannot give any, by a request every five seconds. Nothing is requested while
// the page is hidden. A hint only says that it is worth asking again.
import { useEffect, useState } from 'preact/hooks'
import { ApiError, request } from './api.ts'

export type Liveness = 'connecting' | 'live' | 'polling' | 'hidden' | 'offline'

let liveness: Liveness = 'connecting'
const changed = new Set<() => void>()
const watchers = new Set<() => void>()
let wanted = false
let connection: AbortController | null = null
let poll: ReturnType<typeof setInterval> | undefined
let again: ReturnType<typeof setTimeout> | undefined
let failures = 0

function become(next: Liveness): void {
    if (next === liveness) return
    liveness = next
    for (const watcher of watchers) watcher()
}

const emit = (): void => {
    for (const handler of [...changed]) handler()
}

export const onChange = (handler: () => void): (() => void) => {
    changed.add(handler)
    return () => void changed.delete(handler)
}

export function useLiveness(): Liveness {
    const [, draw] = useState(0)
    useEffect(() => {
        const watcher = () => draw((n) => n + 1)
        watchers.add(watcher)
        return () => void watchers.delete(watcher)
    }, [])
    return liveness
}

function startPolling(): void {
    become('polling')
    poll ??= setInterval(emit, 5000)
}

function stopPolling(): void {
    clearInterval(poll)
    poll = undefined
    become('live')
}

function disconnect(): void {
    clearInterval(poll)
    clearTimeout(again)
    poll = again = undefined
    connection?.abort()
    connection = null
}

function onLine(line: string, event: { name: string }): void {
    if (line.startsWith('event:')) event.name = line.slice(6).trim()
    else if (line === '') {
        if (event.name === 'changed') emit()
        if (event.name === 'poll') startPolling()
        if (event.name === 'listen') stopPolling()
        event.name = ''
    }
}

async function read(body: ReadableStream<Uint8Array>): Promise<void> {
    const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader()
    const event = { name: '' }
    let rest = ''
    for (;;) {
        const { done, value } = await reader.read()
        if (done) return
        failures = 0
        const lines = (rest + value).split(/\r?\n/)
        rest = lines.pop() ?? ''
        for (const line of lines) onLine(line, event)
    }
}

async function connect(): Promise<void> {
    disconnect()
    const mine = (connection = new AbortController())
    try {
        const response = await request('GET', 'changes', { signal: mine.signal, byItself: true })
        become('live')
        emit() // for changes missed since the last connection
        await read(response.body!)
    } catch (error) {
        if (error instanceof ApiError && error.status === 401) return
        if (error instanceof ApiError && error.status === 404 && connection === mine) return startPolling()
    }
    if (connection !== mine || mine.signal.aborted) return
    clearInterval(poll)
    poll = undefined
    become('offline')
    again = setTimeout(() => void connect(), Math.min(1000 * 2 ** failures++, 15_000))
}

function look(): void {
    if (!wanted) return
    if (document.hidden) {
        disconnect()
        become('hidden')
    } else if (!connection || liveness === 'hidden') {
        become('connecting')
        void connect()
    }
}

export function startLive(): () => void {
    wanted = true
    document.addEventListener('visibilitychange', look)
    look()
    return () => {
        wanted = false
        document.removeEventListener('visibilitychange', look)
        disconnect()
    }
}
