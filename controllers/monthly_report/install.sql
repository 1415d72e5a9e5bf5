-- Monthly report: a schedule on the first of the month makes the report of the month before, and puts it into the post.
CREATE SCHEMA monthly_report;

CREATE TABLE monthly_report.sale (
    sold_on date NOT NULL,
    amount  numeric NOT NULL
);
CREATE TABLE monthly_report.report (
    month  date PRIMARY KEY,
    sales  integer NOT NULL,
    amount numeric NOT NULL
);
CREATE TABLE monthly_report.recipient (
    email   text PRIMARY KEY,
    enabled boolean NOT NULL DEFAULT true
);
CREATE TABLE monthly_report.outbox (
    email   text NOT NULL,
    subject text NOT NULL,
    body    text NOT NULL
);

-- Run again, after a failure or for an earlier month, it makes the report anew and sends it once more.
CREATE FUNCTION monthly_report.make(month date DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    first date := date_trunc('month', coalesce(make.month, current_date - interval '1 month'));
    report monthly_report.report;
BEGIN
    INSERT INTO monthly_report.report
    SELECT first, count(*), coalesce(sum(s.amount), 0) FROM monthly_report.sale AS s
    WHERE s.sold_on >= first AND s.sold_on < first + interval '1 month'
    ON CONFLICT ON CONSTRAINT report_pkey DO UPDATE SET sales = excluded.sales, amount = excluded.amount
    RETURNING * INTO report;
    INSERT INTO monthly_report.outbox
    SELECT r.email, 'Monthly report ' || to_char(first, 'YYYY-MM'), format('%s sales, %s', report.sales, report.amount)
    FROM monthly_report.recipient AS r WHERE r.enabled;
    RETURN to_jsonb(report);
END $$;
