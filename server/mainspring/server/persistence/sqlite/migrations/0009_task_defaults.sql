-- Namespaces: what tasks get that are created in one and leave it open, and how often it has changed.

-- policies: text of core.policies, '' for none. delivery: 1 at least once, 2 at most once.
ALTER TABLE namespaces ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE namespaces ADD COLUMN delivery INTEGER NOT NULL DEFAULT 1;
ALTER TABLE namespaces ADD COLUMN policies TEXT NOT NULL DEFAULT '' CHECK (length(policies) <= 2000);
