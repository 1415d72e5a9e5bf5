// A box for a JSON object, which shows while the user types what is wrong and where. The text goes to the server as it is: no number becomes a number of the browser.
import { JsonError, parseJson, pretty } from './json.ts'
import { Button, Field } from './ui.tsx'

export function checkObject(text: string, emptyIsFine = true): string {
    if (text.trim() === '') return emptyIsFine ? '' : 'An object is needed, {} at least.'
    try {
        return parseJson(text).kind === 'object' ? '' : 'This is JSON, but not an object.'
    } catch (error) {
        return error instanceof JsonError ? error.message : String(error)
    }
}

export function JsonEditor({ label, text, onChange, hint, error, rows = 8 }: { label: string; text: string; onChange: (text: string) => void; hint?: string; error?: string; rows?: number }) {
    const wrong = checkObject(text)
    return (
        <Field label={label} hint={hint} error={wrong || error}>
            {(a) => (
                <>
                    <textarea {...a} class="code" rows={rows} spellcheck={false} autocomplete="off" value={text} onInput={(e) => onChange(e.currentTarget.value)} />
                    {!wrong && text.trim() !== '' && pretty(text) !== text && <Button kind="quiet" onClick={() => onChange(pretty(text))}>Lay out</Button>}
                </>
            )}
        </Field>
    )
}
