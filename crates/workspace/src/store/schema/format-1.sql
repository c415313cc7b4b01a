BEGIN TRANSACTION;
CREATE TABLE tombstones (
        id TEXT PRIMARY KEY,
        name TEXT,
        reason TEXT NOT NULL,
        deleted_at INTEGER NOT NULL
    ) STRICT;
INSERT INTO "tombstones" VALUES('ws_01a2125bcbe77164a37916be448af2a5','gone','deleted',1795604335702);
CREATE TABLE workspaces (
        id TEXT PRIMARY KEY,
        name TEXT UNIQUE,
        state TEXT NOT NULL,
        reason TEXT,
        environment TEXT NOT NULL,
        environment_digest TEXT NOT NULL,
        template TEXT NOT NULL,
        monitor_number INTEGER NOT NULL UNIQUE,
        accelerator TEXT NOT NULL,
        cpus INTEGER NOT NULL,
        memory_mib INTEGER NOT NULL,
        lifetime TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        last_activity_at INTEGER NOT NULL
    ) STRICT;
INSERT INTO "workspaces" VALUES('ws_01a2125bcb0477a697ae7df8f6e2b4ac','demo','running',NULL,'debian:12','sha256:f265f2929866a6a91b430dc669ae6f10e7cf6aa78037bb241cfbd77bb807c982','0fab1d9b3e3dd137948805e99fa87458-fe2b7d4e',1,'tcg',1,1024,'until_deleted',1795604335364,1795604335791);
INSERT INTO "workspaces" VALUES('ws_01a2125bcb79705b8ec1616396ef735d',NULL,'running',NULL,'debian:12','sha256:f265f2929866a6a91b430dc669ae6f10e7cf6aa78037bb241cfbd77bb807c982','0fab1d9b3e3dd137948805e99fa87458-fe2b7d4e',2,'tcg',1,1024,'until_deleted',1795604335481,1795604335481);
PRAGMA user_version = 1;
COMMIT;
