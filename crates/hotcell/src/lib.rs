//! hotcell
