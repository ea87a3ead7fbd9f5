//! The files of a directory as they are in force: a bad one changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::{Documents, MAX_OBJECTIVES, Objective, Problem, read};

/// Objectives of all files. Pure: what the files say comes in, and when.
#[derive(Clone, Debug, Default)]
pub struct Library {
    files: BTreeMap<String, File>,
}

/// One file, and whether it is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct FileStatus<'a> {
    /// Its name in the directory.
    pub name: &'a str,
    /// Objectives of it that are in force.
    pub objectives: &'a [Objective],
    /// Why what it says now is not in force; what it said before stays.
    pub problem: Option<&'a Problem>,
    /// When what is in force was read; `None` where nothing is.
    pub loaded_unix_nano: Option<i64>,
    /// The text that is in force.
    pub text: &'a str,
}

#[derive(Clone, Debug, Default)]
struct File {
    /// What it said when it was last looked at.
    seen: Option<Result<String, Problem>>,
    /// Why that cannot be read, or does not fit with the other files.
    unreadable: Option<Problem>,
    conflict: Option<Problem>,
    /// What can be read and is not in force: not looked at yet, or in conflict with another file.
    pending: Option<(Documents, String)>,
    /// What it said when it was last good, and what follows from it.
    text: String,
    documents: Documents,
    objectives: Vec<Objective>,
    loaded_unix_nano: Option<i64>,
}

impl File {
    /// Notes what it says now; whether that is something new.
    fn see(&mut self, seen: Result<String, Problem>) -> bool {
        if self.seen.as_ref() == Some(&seen) {
            return false;
        }
        let documents = seen.clone().and_then(|text| Ok((read(&text)?, text)));
        self.seen = Some(seen);
        self.unreadable = documents.as_ref().err().cloned();
        self.pending = documents.ok();
        true
    }

    /// What is to be in force, if it fits with the other files.
    fn candidate(&self) -> &Documents {
        self.pending.as_ref().map_or(&self.documents, |(documents, _)| documents)
    }

    fn put_in_force(&mut self, objectives: Vec<Objective>, now_unix_nano: i64) {
        self.objectives = objectives;
        if let Some((documents, text)) = self.pending.take() {
            self.documents = documents;
            self.text = text;
            self.loaded_unix_nano = Some(now_unix_nano);
        }
    }
}

impl Library {
    /// Takes over what the files say now: all files of the directory, by name, each with its text or why there is none.
    /// Returns whether anything is different from the last time.
    pub fn update(&mut self, files: Vec<(String, Result<String, Problem>)>, now_unix_nano: i64) -> bool {
        let names: BTreeSet<&String> = files.iter().map(|(name, _)| name).collect();
        let count = self.files.len();
        self.files.retain(|name, _| names.contains(name));
        let mut changed = self.files.len() != count;
        for (name, seen) in files {
            changed |= self.files.entry(name).or_default().see(seen);
        }
        if changed {
            self.resolve(now_unix_nano);
        }
        changed
    }

    /// The objectives in force, by file.
    pub fn objectives(&self) -> impl Iterator<Item = &Objective> {
        self.files.values().flat_map(|file| &file.objectives)
    }

    /// Whether every file was good at least once since the start: what an earlier run had from the others is not known.
    pub fn is_known(&self) -> bool {
        self.files.values().all(|file| file.loaded_unix_nano.is_some())
    }

    /// All files by name.
    pub fn files(&self) -> impl Iterator<Item = FileStatus<'_>> {
        self.files.iter().map(|(name, file)| FileStatus {
            name,
            objectives: &file.objectives,
            problem: file.unreadable.as_ref().or(file.conflict.as_ref()),
            loaded_unix_nano: file.loaded_unix_nano,
            text: &file.text,
        })
    }

    /// Follows references, and gives names to who had them first: files that are in force as they are, then the others.
    fn resolve(&mut self, now_unix_nano: i64) {
        let mut order: Vec<String> = self.files.keys().cloned().collect();
        order.sort_by_key(|name| self.files[name].pending.is_some());
        let mut taken = Taken::default();
        for name in order {
            let resolved = self.resolve_file(&name, &mut taken);
            let file = self.files.get_mut(&name).expect("the order is of the files");
            match resolved {
                Ok(objectives) => {
                    file.conflict = None;
                    file.put_in_force(objectives, now_unix_nano);
                }
                Err(problem) => {
                    file.conflict = Some(problem);
                    // The last good version keeps its names, unless another file has them by now.
                    if taken.claim(&file.documents, &file.objectives).is_err() {
                        file.objectives.clear();
                    }
                }
            }
        }
    }

    fn resolve_file(&self, name: &str, taken: &mut Taken) -> Result<Vec<Objective>, Problem> {
        let documents = self.files[name].candidate();
        let others = self.files.iter().filter(|(other, _)| *other != name).map(|(_, file)| file.candidate());
        let objectives = documents.resolve(others)?;
        taken.claim(documents, &objectives)?;
        Ok(objectives)
    }
}

/// Names that are in use.
#[derive(Debug, Default)]
struct Taken {
    objectives: BTreeSet<String>,
    indicators: BTreeSet<String>,
}

impl Taken {
    fn claim(&mut self, documents: &Documents, objectives: &[Objective]) -> Result<(), Problem> {
        let mut ids = BTreeSet::new();
        for objective in objectives {
            if self.objectives.contains(&objective.id) || !ids.insert(objective.id.clone()) {
                return Err(Problem::of_file(format!("there is an objective named {:?} already", objective.id)));
            }
        }
        if let Some(name) = documents.indicator_names().find(|name| self.indicators.contains(*name)) {
            return Err(Problem::of_file(format!("there is an indicator named {name:?} already")));
        }
        if self.objectives.len() + ids.len() > MAX_OBJECTIVES {
            return Err(Problem::of_file(format!("there are more than {MAX_OBJECTIVES} objectives")));
        }
        self.objectives.extend(ids);
        self.indicators.extend(documents.indicator_names().map(str::to_owned));
        Ok(())
    }
}
