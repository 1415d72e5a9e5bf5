// JDBC: java.sql alone, plus PGConnection for notifications. Run with the address of the database.
import java.sql.CallableStatement;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.util.Objects;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.util.PGobject;
import org.postgresql.util.PSQLException;

public class Jdbc {
    static String url;
    static Connection connection;

    interface Work {
        void run() throws Exception;
    }

    static void check(String what, Work work) {
        try {
            work.run();
            System.out.println("ok JDBC: " + what);
        } catch (Throwable error) {
            System.out.println("not ok JDBC: " + what);
            error.printStackTrace(System.out);
            System.exit(1);
        }
    }

    static void same(Object found, Object expected) {
        if (!Objects.equals(found, expected)) throw new AssertionError(found + ", expected " + expected);
    }

    static void fails(Work work, String state, String detail, String hint) throws Exception {
        try {
            work.run();
        } catch (PSQLException error) {
            same(error.getSQLState(), state);
            same(error.getServerErrorMessage().getDetail(), detail);
            same(error.getServerErrorMessage().getHint(), hint);
            return;
        }
        throw new AssertionError("no error");
    }

    // The first column of the first row, and null where there is none.
    static Object value(String sql, Object... params) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int i = 0; i < params.length; i++) statement.setObject(i + 1, params[i]);
            if (!statement.execute()) return null;
            ResultSet rows = statement.getResultSet();
            return rows.next() ? rows.getObject(1) : null;
        }
    }

    static long enqueue(String document, String more) throws SQLException {
        return (Long) value("SELECT enqueue_sync_job(?, ?" + more + ")", "Mailing List", document);
    }

    static void waitFor(long job) throws SQLException {
        value("CALL wait_for_sync_job(?, ?::interval)", job, "60 s");
    }

    static PGobject jsonb(String text) throws SQLException {
        PGobject object = new PGobject();
        object.setType("jsonb");
        object.setValue(text);
        return object;
    }

    static void enqueueing() throws Exception {
        long job = (Long) value("SELECT enqueue_sync_job(?, ?, context => ?, trigger_type => ?, timeout => ?::interval)",
            "Mailing List", "CUST-1", jsonb("{\"note\": \"it's\"}"), "API", "10 minutes");
        waitFor(job);
        same(value("SELECT status FROM sync_job WHERE id = ?", job), "Finished");
        same(value("SELECT note FROM mailing_list WHERE customer = ?", "CUST-1"), "it's");
        long named = (Long) value("SELECT enqueue_sync_job(sync_job_type => ?, source_document_name => ?, context => ?::jsonb)",
            "Mailing List", "CUST-2", "{}");
        waitFor(named);
        long object = (Long) value("SELECT enqueue_sync_job(?::jsonb)", "{\"sync_job_type\": \"Mailing List\", \"source_document_name\": \"CUST-3\"}");
        value("CALL wait_for_sync_jobs(?)", connection.createArrayOf("bigint", new Long[] {named, object}));
        same(value("SELECT count(*) FROM mailing_list"), 3L);
        same(value("SELECT enqueue_sync_jobs(?, ?)", "Mailing List", connection.createArrayOf("text", new String[] {"CUST-1", "CUST-2"})), 2L);
        value("CALL wait_for_sync_jobs(?)", connection.createArrayOf("bigint", new Long[] {object + 1, object + 2}));
    }

    static void numbers() throws Exception {
        value("UPDATE customer SET points = points + ? WHERE name = 'CUST-1'", 2);
        long job = enqueue("CUST-1", "");
        waitFor(job);
        same(value("SELECT points FROM mailing_list WHERE customer = 'CUST-1'"), 9007199254740995L);
        same(value("SELECT diff_summary #>> '{points,old}' FROM sync_job WHERE id = ?", job), "9007199254740993");
    }

    static void handles() throws Exception {
        long job = enqueue("CUST-1", "");
        waitFor(job);
        same(value("SELECT status FROM get_sync_job_status(?)", job), "Skipped");
        waitFor((Long) value("SELECT rerun_sync_job(?)", job));
        long first = enqueue("CUST-2", ", queue_on_insert => false"), second = enqueue("CUST-3", ", queue_on_insert => false");
        same(value("SELECT status FROM cancel_sync_job(?, ?)", first, "not needed"), "Canceled");
        same(value("SELECT status FROM start_sync_job(?)", second), "Queued");
        waitFor(second);
        long failed = enqueue("CUST-4", "");
        waitFor(failed);
        same(value("SELECT status FROM retry_sync_job(?)", failed), "Queued");
        waitFor(failed);
        // The way of JDBC to call a function; a procedure needs escapeSyntaxCallMode, see calls().
        try (CallableStatement call = connection.prepareCall("{? = call enqueue_sync_job(?, ?)}")) {
            call.registerOutParameter(1, Types.BIGINT);
            call.setString(2, "Mailing List");
            call.setString(3, "CUST-2");
            call.execute();
            waitFor(call.getLong(1));
        }
    }

    static void calls() throws Exception {
        long job = enqueue("CUST-2", "");
        fails(() -> call(connection, job), "42809", null, "To call a procedure, use CALL.");
        try (Connection other = DriverManager.getConnection(url + "&escapeSyntaxCallMode=callIfNoReturn")) {
            call(other, job);
        }
        same(value("SELECT status FROM sync_job WHERE id = ?", job), "Skipped");
    }

    static void call(Connection connection, long job) throws SQLException {
        try (CallableStatement call = connection.prepareCall("{call wait_for_sync_job(?)}")) {
            call.setLong(1, job);
            call.execute();
        }
    }

    static void transactions() throws Exception {
        connection.setAutoCommit(false);
        long job = enqueue("CUST-1", "");
        connection.rollback();
        same(value("SELECT id FROM sync_job WHERE id = ?", job), null);
        fails(() -> waitFor(enqueue("CUST-1", "")), "55000", null, "COMMIT first, then wait; or use execute_sync_job().");
        connection.rollback();
        long committed = enqueue("CUST-1", "");
        connection.commit();
        connection.setAutoCommit(true);
        waitFor(committed);
    }

    static void errors() throws Exception {
        fails(() -> value("SELECT enqueue_sync_job(?, ?)", "Nope", "CUST-1"), "42704", null,
            "Job types are the rows of table sync_job_type; their names are case-sensitive.");
        long job = enqueue("CUST-1", "");
        waitFor(job);
        fails(() -> value("SELECT retry_sync_job(?)", job), "55000", "The job must be Failed.", null);
    }

    static void jobsOfATable() throws Exception {
        Object all = value("SELECT count(*) FROM sync_job");
        same(value("SELECT count(*) FROM sync_job WHERE source_document_type = 'customer'::regclass"), all);
        same(value("SELECT count(*) FROM sync_job WHERE source_document_type = ?::regclass", "customer"), all);
        fails(() -> value("SELECT id FROM sync_job WHERE source_document_type = ?", "customer"), "42883", null,
            "No operator matches the given name and argument types. You might need to add explicit type casts.");
    }

    // From its fifth execution on, the driver has a statement prepared in the server.
    static void changedDefinitions() throws Exception {
        try (PreparedStatement byName = connection.prepareStatement("SELECT enqueue_sync_job('Mailing List', ?)");
             PreparedStatement byRow = connection.prepareStatement("SELECT enqueue_sync_job('Mailing List', c) FROM customer AS c WHERE name = ?");
             Statement other = connection.createStatement()) {
            for (String change : new String[] {"SELECT 1", "ALTER TABLE customer ADD COLUMN phone text", "ALTER TABLE customer ALTER COLUMN territory TYPE varchar(50)"}) {
                other.execute(change);
                for (int i = 0; i < 16; i++) {
                    value("UPDATE customer SET points = points + 1 WHERE name = 'CUST-3'");
                    PreparedStatement statement = i % 2 == 0 ? byName : byRow;
                    statement.setString(1, "CUST-3");
                    ResultSet rows = statement.executeQuery();
                    rows.next();
                    long job = rows.getLong(1);
                    waitFor(job);
                    same(value("SELECT status FROM sync_job WHERE id = ?", job), "Finished");
                }
            }
        }
    }

    static void listening() throws Exception {
        try (Connection listener = DriverManager.getConnection(url)) {
            listener.createStatement().execute("LISTEN sync_job");
            long job = enqueue("CUST-1", "");
            long end = System.nanoTime() + 60_000_000_000L;
            while (System.nanoTime() < end) {
                PGNotification[] heard = listener.unwrap(PGConnection.class).getNotifications(1000);
                for (int i = 0; heard != null && i < heard.length; i++) {
                    if (heard[i].getParameter().contains("\"sync_job\": " + job + ",")) return;
                }
            }
            throw new AssertionError("no notification");
        }
    }

    public static void main(String[] arguments) throws Exception {
        url = arguments[0];
        connection = DriverManager.getConnection(url);
        check("enqueue by position and by name, with a jsonb context, and wait", Jdbc::enqueueing);
        check("large numbers", Jdbc::numbers);
        check("a job's id goes back as it came, to every function", Jdbc::handles);
        check("{call …} for a procedure", Jdbc::calls);
        check("an enqueued job is part of the transaction", Jdbc::transactions);
        check("errors have SQLSTATE, detail and hint", Jdbc::errors);
        check("jobs of a table", Jdbc::jobsOfATable);
        check("prepared statements go on when definitions change", Jdbc::changedDefinitions);
        check("LISTEN hears of the end of a job", Jdbc::listening);
    }
}
