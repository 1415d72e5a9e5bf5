// Unsaved input: before it would be lost, by a link, the back button, a closed dialog or window, the browser asks.
import { useEffect, useState } from 'preact/hooks'

const unsaved = new Set<object>()

// For a form to say whether it contains something to lose.
export function useUnsaved(): (changed: boolean) => void {
    const [form] = useState(() => ({}))
    useEffect(() => () => void unsaved.delete(form), [])
    return (changed) => void (changed ? unsaved.add(form) : unsaved.delete(form))
}

export function mayLeave(): boolean {
    if (unsaved.size > 0 && !window.confirm('What you have written here is not saved. Leave it?')) return false
    unsaved.clear()
    return true
}

globalThis.addEventListener?.('beforeunload', (event) => {
    if (unsaved.size > 0) event.preventDefault()
})
