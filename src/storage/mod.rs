//! State on disk beside the journal: the only module that names sled.
