//! The world of utalk's tests: people of workspaces, and what is on disk.
