// A query that a page repeats when something has changed. The old data stays until the new answer is there, so that nothing flickers.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { type Values, getJson, hasToken } from './api.ts'
import { onChange } from './live.ts'

export type Query<T> = { data: T | null; error: unknown; asked: string; refresh: () => void }

type Options = {
    slot: string // a newer query of the slot replaces the older one
    every?: number // ms; repeats also without a hint, for example for a progress bar
    still?: boolean // does not follow hints
}

// At most one query per second, and fewer after a slow answer.
const pause = (took: number): number => Math.max(1000, 3 * took)

export function useQuery<T>(path: string | null, query: Values, options: Options): Query<T> {
    const asked = path === null ? '' : `${path} ${JSON.stringify(query)}`
    const [state, setState] = useState<{ data: T | null; error: unknown; asked: string }>({ data: null, error: null, asked: '' })
    const ask = useRef<() => void>(() => {})

    useEffect(() => {
        if (path === null) return
        let stopped = false
        let running: AbortController | null = null
        let due = 0
        let timer: ReturnType<typeof setTimeout> | undefined
        let missed = false

        const run = async (byItself: boolean) => {
            running = new AbortController()
            const mine = running
            const began = performance.now()
            missed = false
            try {
                const data = await getJson<T>(path, query, options.slot, mine.signal, byItself)
                if (!stopped) setState({ data, error: null, asked })
            } catch (error) {
                if (!stopped && !mine.signal.aborted) setState((old) => ({ data: old.asked === asked ? old.data : null, error, asked }))
            }
            running = null
            due = performance.now() + pause(performance.now() - began)
            if (missed && !stopped) hint()
        }
        const hint = () => {
            if (stopped || document.hidden || !hasToken()) return
            if (running) missed = true
            else timer ??= setTimeout(runLater, Math.max(0, due - performance.now()))
        }
        const runLater = () => {
            timer = undefined
            if (!document.hidden) void run(true) // else when it becomes visible again
        }
        ask.current = () => {
            due = 0
            clearTimeout(timer)
            timer = undefined
            hint()
        }
        void run(false)
        const forget = options.still ? () => {} : onChange(hint)
        const interval = options.every ? setInterval(hint, options.every) : undefined
        return () => {
            stopped = true
            running?.abort()
            clearTimeout(timer)
            clearInterval(interval)
            forget()
        }
    }, [asked, options.slot, options.every, options.still])

    const refresh = useCallback(() => ask.current(), [])
    // The answer to another query does not answer this one.
    return state.asked === asked ? { ...state, refresh } : { data: null, error: null, asked, refresh }
}
