// The answers of the server. Ids are strings, as a bigint does not fit into a number here; values of jsonb are strings that contain JSON.

export type JobRow = {
    id: string
    sync_job_type: string
    title: string | null
    status: string
    operation: string | null
    source_document_type: string | null
    source_document_name: string | null
    target_document_type: string | null
    target_document_name: string | null
    queue: string
    trigger_type: string | null
    created_at: string
    scheduled_at: string | null
    started_at: string | null
    ended_at: string | null
    time_taken: string | null
    retry_count: number
    max_retries: number
    retry_after: string | null
    error: string | null
    run_as: string | null
    dry_run: boolean
    documents: number | null
    held: boolean | null
    percent: number | null
    parent_sync_job: string | null
    relation: string | null
    children?: number | null
}

export type Job = Record<string, unknown> & { id: string; status: string; sync_job_type: string }

export type Attempt = {
    attempt: number
    occurred_at: string
    sqlstate: string | null
    message: string | null
    detail: string | null
    hint: string | null
    context: string | null
    counted: boolean
}

export type Progress = { percent: number | null; title: string | null; description: string | null; pid?: number | null }

export type JobAnswer = {
    job: Job
    cut: string[] | null
    attempts: Attempt[] | null
    children: { status: string; count: number; more?: boolean }[] | null
    parent: JobRow | null
    progress: Progress | null
    related: JobRow[] | null
    waits_for: JobRow[] | null
    waited_by: JobRow[] | null
    type: { name: string; kind: string | null; run_as: string | null; paused: boolean; disabled: boolean } | null
    allowed: Record<string, boolean> | null
}

// What an action on jobs has done, job by job. Applying and reverting create jobs themselves: `job`.
export type Failure = { code: string; message: string; detail?: string | null; hint?: string | null }
export type Outcome = { id: string; status?: string | null; job?: string | null; error?: Failure | null }
export type ActionAnswer = { done: number; outcomes: Outcome[] | null; job?: string | null }

export type JobList = { rows: JobRow[]; next: string | null; searched?: { jobs: number; complete: boolean; continue: string | null } | null }

export type QueueRow = {
    queue: string
    paused: boolean
    max_workers: number
    workers: number
    running: number
    waiting: number
    scheduled: number
    oldest_waiting: string | null
    note: string | null
    failed: number
    retrying: number
    timeout?: string | null
    publish_events?: boolean
    allowed?: Record<string, boolean> | null
}

export type FreshnessRow = {
    sync_job_type: string
    oldest_change: string | null
    waiting: number
    running: number
    retrying: number
    failed: number
    last_success: string | null
    compared_at?: string | null
    out_of_step?: number | null
}

export type AlertRow = {
    name: string
    sync_job_type: string | null
    queue: string | null
    measure: string
    threshold: string
    hold: string | null
    procedure: string | null
    owner: string | null
    state: string
    since: string | null
    value: string | null
}

export type Overview = {
    now: string
    counts: { status: string; count: number; more?: boolean }[]
    notes: string[] | null
    types: { name: string; problems: string[] }[] | null
    queues: QueueRow[] | null
    alerts: AlertRow[] | null
    freshness: FreshnessRow[] | null
    throughput: { at: string; ended: number; failed: number }[] | null
    workers: { running: number; total: number } | null
}

export type TypeRow = {
    name: string
    source_document_type: string | null
    target_document_type: string | null
    queue: string
    run_as: string | null
    kind: string | null
    paused: boolean
    disabled: boolean
    description: string | null
    waiting: number | null
    running: number | null
    retrying: number | null
    failed: number | null
    last_success: string | null
    oldest_change: string | null
    setup_error: string | null
    held: boolean | null
    run: { id: string; operation: string; status: string; percent: number | null } | null
}

export type Finding = { severity: string; object: string | null; message: string; detail: string | null; hint: string | null; field: string | null }

export type RunRow = {
    id: string
    operation: string
    sync_job_type: string
    status: string
    percent: number | null
    created_at: string
    started_at: string | null
    ended_at: string | null
    time_taken: string | null
    dry_run: boolean
    result: string | null
    error: string | null
    allowed?: Record<string, boolean> | null
}

export type TypeAnswer = {
    type: Record<string, unknown> & { name: string }
    kind: string | null
    setup_errors: { since: string; sqlstate: string; message: string; detail: string | null; hint: string | null; held_since: string | null }[] | null
    queue: QueueRow | null
    freshness: FreshnessRow | null
    changes: { operation: string; changed_at: string; changed_by: string; old: string | null; new: string | null }[] | null
    export: string | null
    triggers: string[] | null
    grants: string[] | null
    allowed: Record<string, boolean> | null
}

export type TableRow = { name: string; key: string[] | null; columns: { name: string; type: string; nullable: boolean }[] | null }

export type WorkerRow = {
    pid: number
    queue: string | null
    sync_job: string | null
    sync_job_type: string | null
    started_at: string | null
    percent: number | null
    title: string | null
    description: string | null
    run_as: string | null
    state: string
}

export type ScheduleRow = {
    name: string
    schedule: string
    enqueues: string | null
    params: string | null
    queue: string | null
    overlap: boolean
    owner: string | null
    next_run: string | null
    last_sync_job: string | null
    last_run: string | null
    last_status: string | null
    last_error: string | null
    paused: boolean
    allowed?: Record<string, boolean> | null
}

export const states = ['Pending', 'Queued', 'Started', 'Finished', 'Skipped', 'No Target', 'Relayed', 'Failed', 'Canceled'] as const
