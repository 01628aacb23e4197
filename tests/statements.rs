//! Every statement of every application and of the store, prepared on both databases: on SQLite in memory, and on a PostgreSQL
//! server of the test's own, in a temporary folder, which ends with it. `tests/setup.sh` installs PostgreSQL; without it this
//! fails and says so. The daemon speaks SQLite alone so far.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use siod::app::sql::{Dialect, Tables};

/// The store's own come first: steps of applications may hand their rows over to them.
fn owners() -> Vec<&'static Tables> {
    std::iter::once(&siod::store::tables::TABLES)
        .chain(siod::apps::TABLE.rows.iter().filter_map(|row| row.tables))
        .collect()
}

fn steps(dialect: Dialect) -> Vec<(String, String)> {
    let of_owner = |tables: &'static Tables| {
        let named = move |(at, step): (usize, &siod::app::sql::Migration)| {
            (format!("step {} of `{}`", at + 1, tables.owner), dialect.spell(step.sql).into_owned())
        };
        tables.migrations.iter().enumerate().map(named)
    };
    owners().into_iter().flat_map(of_owner).collect()
}

fn statements(dialect: Dialect) -> Vec<String> {
    owners().iter().flat_map(|tables| tables.statements).map(|sql| dialect.spell(sql).into_owned()).collect()
}

#[test]
fn every_statement_is_prepared_by_sqlite() {
    let connection = rusqlite::Connection::open_in_memory().expect("memory can be had");
    for (name, sql) in steps(Dialect::Sqlite) {
        connection.execute_batch(&sql).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for sql in statements(Dialect::Sqlite) {
        connection.prepare(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    assert!(statements(Dialect::Sqlite).len() > 20, "the statements were not found");
}

/// Conversations and messages may be many: whatever is asked of them is looked up by an index, what is old of them as well.
#[test]
fn no_statement_of_utalk_goes_through_a_table_as_a_whole() {
    let connection = rusqlite::Connection::open_in_memory().expect("memory can be had");
    steps(Dialect::Sqlite).iter().for_each(|(_, sql)| connection.execute_batch(sql).expect("a step is taken"));
    let of_utalk = owners().into_iter().filter(|tables| tables.owner == "utalk").flat_map(|tables| tables.statements);
    let mut seen = 0;
    for sql in of_utalk.map(|sql| Dialect::Sqlite.spell(sql)) {
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("it is prepared above");
        let values = vec![""; plan.parameter_count()];
        let steps = plan.query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3));
        for step in steps.expect("a plan is asked for").map(|step| step.expect("a step is text")) {
            let is_whole = step.starts_with("SCAN ") && !step.contains(" USING ");
            let table = step.split(' ').nth(1).unwrap_or_default();
            let is_table = table == "audit" || table.starts_with("ut_");
            assert!(!(is_whole && is_table), "{sql}: {step}");
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen} steps");
}

/// The file that load tests begin with is of the tables as they are now.
#[test]
fn what_fills_tables_for_load_tests_fits_them() {
    let connection = rusqlite::Connection::open_in_memory().expect("memory can be had");
    for (_, sql) in steps(Dialect::Sqlite) {
        connection.execute_batch(&sql).expect("a step of the tables");
    }
    let filled = format!(
        "CREATE TEMP TABLE fill AS SELECT 3 AS scopes, 40 AS messages; {}",
        include_str!("../loadtest/utalk-fill.sql")
    );
    connection.execute_batch(&filled).expect("it fits");
    let counted = "SELECT count(*), (SELECT sum(last_seq) FROM ut_conversations) FROM ut_messages";
    let counts: (u32, u32) = connection.query_row(counted, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("a row");
    assert_eq!(counts, (120, 120));
}

#[test]
fn every_statement_is_prepared_by_postgresql_with_values_of_the_kinds_we_bind() {
    let server = Server::start();
    for (name, sql) in steps(Dialect::Postgres) {
        server.run(&sql).unwrap_or_else(|said| panic!("{name}: {said}"));
    }
    let statements = statements(Dialect::Postgres);
    let mut script = String::new();
    for (at, sql) in statements.iter().enumerate() {
        script.push_str(&format!("\\echo {at}\nPREPARE s{at} AS {sql};\n"));
    }
    // A place that is taken for another type than our values have would fail when it is bound.
    let kinds = "parameter_types::text[] <@ ARRAY['bigint', 'text', 'double precision', 'bytea']";
    script.push_str(&format!("SELECT name, parameter_types FROM pg_prepared_statements WHERE NOT {kinds};\n"));
    let said = server.run(&script).unwrap_or_else(|said| panic!("{said}"));
    let mut lines = said.lines().filter(|line| line.parse::<usize>().is_err() && *line != "PREPARE");
    assert_eq!(lines.next(), None, "values of other types are expected:\n{said}");
    assert_eq!(said.lines().filter(|line| *line == "PREPARE").count(), statements.len());
}

#[test]
fn a_statement_that_postgresql_does_not_know_is_noticed() {
    let server = Server::start();
    for sql in ["PREPARE s AS INSERT OR REPLACE INTO t VALUES (1);", "PREPARE s AS SELECT rowid FROM pg_class;"] {
        assert!(server.run(sql).unwrap_err().contains("ERROR:"));
    }
}

/// A PostgreSQL server that only this test can reach: by a socket in its folder, over no network.
struct Server {
    folder: tempfile::TempDir,
    process: Child,
}

impl Server {
    fn start() -> Server {
        let folder = tempfile::Builder::new().prefix("siod-pg").tempdir_in("/tmp").expect("/tmp can be written");
        if is_root() {
            // PostgreSQL does not run as root.
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("root may give a folder away");
        }
        let data = folder.path().join("data");
        let mut init = unprivileged("initdb");
        init.args(["--no-sync", "--auth=trust", "--username=siod", "--encoding=UTF8", "--locale=C", "--pgdata"]);
        let made = output(init.arg(&data));
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let log = fs::File::create(folder.path().join("log")).expect("the folder can be written");
        let process = unprivileged("postgres")
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=5"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("setpriv starts it");
        let mut server = Server { folder, process };
        server.wait();
        server
    }

    fn wait(&mut self) {
        let begun = Instant::now();
        while self.run("SELECT 1").is_err() {
            let ended = self.process.try_wait().expect("it is our child");
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "PostgreSQL does not start: {}", log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// What `psql` says to a script; the first error ends it.
    fn run(&self, script: &str) -> Result<String, String> {
        let mut psql = Command::new(program("psql"));
        psql.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "siod", "-d", "postgres", "-f", "-", "-h"]);
        let mut child = psql
            .arg(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql starts");
        let mut input = child.stdin.take().expect("it is piped");
        // A script that ends early leaves the rest unread.
        let _ = std::io::Write::write_all(&mut input, script.as_bytes());
        drop(input);
        let Output { status, stdout, stderr } = child.wait_with_output().expect("psql ends");
        let [said, complained] = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        if status.success() { Ok(said) } else { Err(format!("{complained}\nafter {said}")) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Killed by force it would leave shared memory behind.
        let _ = Command::new("kill").args(["-QUIT", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

/// A program of PostgreSQL as somebody who is not root, which ends when this test does, however that ends.
fn unprivileged(name: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]).current_dir("/");
    if is_root() {
        let nobody = NOBODY.to_string();
        command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]);
    }
    command.arg(program(name));
    command
}

/// Debian keeps the server's programs beside each other, by version, and out of the path.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.exists()).max();
    found.unwrap_or_else(|| panic!("there is no `{name}` in /usr/lib/postgresql: run tests/setup.sh"))
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(Path::new("/proc/self")).expect("there is /proc").uid() == 0
}

/// The user that owns nothing, by Debian's number.
const NOBODY: u32 = 65_534;
const PATIENCE: Duration = Duration::from_secs(60);
