//! workspace-api
