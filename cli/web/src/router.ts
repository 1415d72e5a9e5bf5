// The current location: `#/jobs?status=Failed&type=…`. Everything that defines a list is in the fragment, so that it can be sent, bookmarked and returned to, and
// never appears in the server's log.
import { useEffect, useState } from 'preact/hooks'
import { mayLeave } from './unsaved.ts'

export type Route = { path: string[]; query: URLSearchParams; hash: string }

export function parseRoute(hash: string): Route {
    const text = hash.replace(/^#\/?/, '')
    const mark = text.indexOf('?')
    const path = mark < 0 ? text : text.slice(0, mark)
    return { path: path.split('/').filter(Boolean).map(decode), query: new URLSearchParams(mark < 0 ? '' : text.slice(mark + 1)), hash }
}

function decode(part: string): string {
    try {
        return decodeURIComponent(part)
    } catch {
        return part
    }
}

export function href(path: (string | number)[], query: Record<string, string | null | undefined> = {}): string {
    const params = new URLSearchParams()
    for (const [key, value] of Object.entries(query)) if (value) params.set(key, value)
    const search = params.toString()
    return `#/${path.map((part) => encodeURIComponent(part)).join('/')}${search ? `?${search}` : ''}`
}

export function go(target: string, replace = false): void {
    if (replace) {
        history.replaceState(history.state, '', target)
        window.dispatchEvent(new HashChangeEvent('hashchange'))
    } else location.hash = target
}

export function useRoute(): Route {
    const [route, setRoute] = useState(() => parseRoute(location.hash))
    useEffect(() => {
        let shown = location.hash
        const changed = () => {
            if (location.hash === shown) return
            if (!mayLeave()) return history.replaceState(history.state, '', shown || '#/')
            shown = location.hash
            setRoute(parseRoute(shown))
        }
        window.addEventListener('hashchange', changed)
        return () => window.removeEventListener('hashchange', changed)
    }, [])
    return route
}
