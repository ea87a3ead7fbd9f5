//! The session a plan is made and run in: functions, tables of one snapshot, rules, limits.

use std::{path::PathBuf, sync::Arc};

use datafusion::{
    catalog::{
        CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider,
        SchemaProvider,
    },
    common::{
        Result,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    execution::{
        SessionState, SessionStateBuilder,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::FairSpillPool,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    optimizer::Analyzer,
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan,
        coop::CooperativeExec,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec},
    },
    prelude::{SessionConfig, SessionContext},
};
use storage::model::TimeRange;

use crate::{
    accounting::{Cost, CountedPool},
    engine::TableSnapshot,
    functions,
    table::{
        catalog,
        provider::{FileSchemas, segments_url},
        retype::{AttributePlanner, RetypeAttributes},
    },
};

const CATALOG: &str = "rootline";
const SCHEMA: &str = "public";

/// Functions of DataFusion that tell where files lie.
const HIDDEN_FUNCTIONS: [&str; 2] = ["input_file_name", "file_row_index"];

/// What all sessions share.
pub(crate) struct Sessions {
    template: SessionState,
    runtime: Arc<RuntimeEnv>,
    schemas: Arc<FileSchemas>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

/// What queries may use together.
#[derive(Clone, Debug)]
pub(crate) struct Shares {
    pub(crate) memory_bytes: usize,
    pub(crate) spill_bytes: u64,
    pub(crate) spill_directory: Option<PathBuf>,
    pub(crate) partitions: usize,
}

impl Sessions {
    pub(crate) fn new(shares: &Shares) -> Result<Self> {
        let disk = DiskManagerBuilder::default().with_max_temp_directory_size(shares.spill_bytes);
        let disk = match &shares.spill_directory {
            Some(directory) => disk.with_mode(DiskManagerMode::Directories(vec![directory.clone()])),
            None => disk,
        };
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(shares.memory_bytes)))
            .with_disk_manager_builder(disk)
            .build_arc()?;
        let nowhere = Arc::new(object_store::memory::InMemory::new());
        runtime.register_object_store(segments_url().as_ref(), nowhere);

        let mut config = SessionConfig::new()
            .with_target_partitions(shares.partitions)
            .with_batch_size(8_192)
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(false);
        let options = config.options_mut();
        options.execution.parquet.pushdown_filters = true;
        options.execution.parquet.reorder_filters = true;
        options.execution.parquet.bloom_filter_on_read = false;
        options.execution.collect_statistics = false;
        options.sql_parser.collect_spans = true;
        // Rules that go wrong on an odd plan are bugs to hear of, not to hide.
        options.optimizer.skip_failed_rules = false;

        let mut analyzer = Analyzer::new();
        analyzer.rules.insert(0, Arc::new(RetypeAttributes));
        analyzer.rules.push(Arc::new(functions::bounded::BoundConcat));
        let mut builder = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(Arc::clone(&runtime))
            .with_expr_planners(vec![Arc::new(AttributePlanner)])
            .with_default_features()
            .with_analyzer_rules(analyzer.rules)
            .with_physical_optimizer_rule(Arc::new(YieldingJoins));
        // Nothing is read from or written to files by name.
        builder.table_factories().take();
        builder.file_formats().take();
        if let Some(known) = builder.scalar_functions() {
            known.retain(|function| !HIDDEN_FUNCTIONS.contains(&function.name()));
            known.extend(functions::all());
        }
        Ok(Self { template: builder.build(), runtime, schemas: Arc::default() })
    }

    /// A session over one snapshot.
    pub(crate) fn over(
        &self,
        snapshot: &Arc<dyn TableSnapshot>,
        cost: &Arc<Cost>,
        range: Option<TimeRange>,
    ) -> Result<SessionContext> {
        let schema = MemorySchemaProvider::new();
        for (name, table) in catalog::tables(snapshot, &self.schemas, cost, range)? {
            schema.register_table(name.to_owned(), table)?;
        }
        let tables = MemoryCatalogProvider::new();
        tables.register_schema(SCHEMA, Arc::new(schema))?;
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(CATALOG.to_owned(), Arc::new(tables));

        let pool = CountedPool { shared: Arc::clone(&self.runtime.memory_pool), cost: Arc::clone(cost) };
        let runtime =
            RuntimeEnvBuilder::from_runtime_env(&self.runtime).with_memory_pool(Arc::new(pool)).build_arc()?;
        let state = SessionStateBuilder::new_from_existing(self.template.clone())
            .with_runtime_env(runtime)
            .with_catalog_list(Arc::new(catalogs))
            .build();
        Ok(SessionContext::new_with_state(state))
    }
}

/// Joins that multiply rows stay inside one `poll` for minutes: around each goes a node that yields, so that a deadline
/// or a client that left can end them. (apache/datafusion#19358)
#[derive(Debug)]
struct YieldingJoins;

impl PhysicalOptimizerRule for YieldingJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let joins = plan.is::<HashJoinExec>()
                || plan.is::<NestedLoopJoinExec>()
                || plan.is::<CrossJoinExec>()
                || plan.is::<SortMergeJoinExec>();
            Ok(if joins { Transformed::yes(Arc::new(CooperativeExec::new(plan)) as _) } else { Transformed::no(plan) })
        })
        .map(|transformed| transformed.data)
    }

    fn name(&self) -> &'static str {
        "yielding_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
