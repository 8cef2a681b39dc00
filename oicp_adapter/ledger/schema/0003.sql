-- Since when a request about the EVSE is unanswered; in_doubt_since begins anew with every wait for settle.
ALTER TABLE evse ADD COLUMN doubted_at REAL;
-- The mass guard's account: when it took a step that staleness or something unmapped gave; NULL: does not count.
ALTER TABLE evse ADD COLUMN turned_at REAL;
-- What the source's words say without what could not be read; NULL: nothing, or all of it could be read.
ALTER TABLE evse ADD COLUMN fallback TEXT;
-- Since when its status comes from staleness, or from something unmapped; NULL: from the source's words.
ALTER TABLE evse ADD COLUMN unread_since REAL;
-- Since when the source has said `desired`, while that waits; changed_at is since when Hubject has been behind.
ALTER TABLE evse ADD COLUMN said_at REAL;
-- What is wrong with its records in the source ("ambiguous", "unusable"); "": nothing.
ALTER TABLE evse ADD COLUMN flaw TEXT NOT NULL DEFAULT '';
-- Counts the writings of the operator's EVSEs and state: equal means that nothing was written in between.
ALTER TABLE operator ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
