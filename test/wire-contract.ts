// The published protocol, as a table: what clients that exist send and read. The definition in
// proto/ may grow beyond it, and may never depart from it. One line is a service with its methods, or a
// message with its fields as `number type name`.

/** Methods of each service: `Name(Request) Response`, with `stream` where the answers are many. */
export const publishedServices: Readonly<Record<string, readonly string[]>> = {
  'joblet.JobService': [
    'RunJob(RunJobRequest) RunJobResponse',
    'GetJobStatus(GetJobStatusRequest) GetJobStatusResponse',
    'StopJob(StopJobRequest) StopJobResponse',
    'CancelJob(CancelJobRequest) CancelJobResponse',
    'DeleteJob(DeleteJobRequest) DeleteJobResponse',
    'DeleteAllJobs(DeleteAllJobsRequest) DeleteAllJobsResponse',
    'GetJobLogs(GetJobLogsRequest) stream DataChunk',
    'ListJobs(EmptyRequest) Jobs',
    'GetJobMetrics(GetJobMetricsRequest) stream JobMetricsSample',
    'RunWorkflow(RunWorkflowRequest) RunWorkflowResponse',
    'GetWorkflowStatus(GetWorkflowStatusRequest) GetWorkflowStatusResponse',
    'ListWorkflows(ListWorkflowsRequest) ListWorkflowsResponse',
    'GetWorkflowJobs(GetWorkflowJobsRequest) GetWorkflowJobsResponse',
    'StreamJobMetrics(StreamJobMetricsRequest) stream JobMetricsEvent',
    'StreamJobTelematics(StreamJobTelematicsRequest) stream TelematicsEvent',
    'GetJobTelematics(GetJobTelematicsRequest) stream TelematicsEvent',
  ],
  'joblet.NetworkService': [
    'CreateNetwork(CreateNetworkRequest) CreateNetworkResponse',
    'ListNetworks(EmptyRequest) Networks',
    'RemoveNetwork(RemoveNetworkRequest) RemoveNetworkResponse',
  ],
  'joblet.VolumeService': [
    'CreateVolume(CreateVolumeRequest) CreateVolumeResponse',
    'ListVolumes(EmptyRequest) Volumes',
    'RemoveVolume(RemoveVolumeRequest) RemoveVolumeResponse',
  ],
  'joblet.MonitoringService': [
    'GetSystemStatus(EmptyRequest) SystemStatusResponse',
    'StreamSystemMetrics(StreamMetricsRequest) stream SystemMetricsResponse',
  ],
  'joblet.RuntimeService': [
    'ListRuntimes(EmptyRequest) ListRuntimesResponse',
    'GetRuntimeInfo(GetRuntimeInfoRequest) GetRuntimeInfoResponse',
    'TestRuntime(TestRuntimeRequest) TestRuntimeResponse',
    'InstallRuntimeFromGithub(InstallRuntimeRequest) InstallRuntimeResponse',
    'InstallRuntimeFromLocal(InstallRuntimeFromLocalRequest) InstallRuntimeResponse',
    'StreamingInstallRuntimeFromGithub(InstallRuntimeRequest) stream RuntimeInstallationChunk',
    'StreamingInstallRuntimeFromLocal(InstallRuntimeFromLocalRequest) stream RuntimeInstallationChunk',
    'ValidateRuntimeSpec(ValidateRuntimeSpecRequest) ValidateRuntimeSpecResponse',
    'RemoveRuntime(RemoveRuntimeRequest) RemoveRuntimeResponse',
    'BuildRuntime(BuildRuntimeRequest) stream BuildRuntimeProgress',
    'ValidateRuntimeYAML(ValidateRuntimeYAMLRequest) ValidateRuntimeYAMLResponse',
  ],
  'joblet.persist.PersistService': [
    'Ping(PingRequest) PingResponse',
    'QueryLogs(QueryLogsRequest) stream LogLine',
    'QueryMetrics(QueryMetricsRequest) stream Metric',
    'DeleteJob(DeleteJobRequest) DeleteJobResponse',
  ],
  'joblet.JobletService': [
    'RunJob(RunJobRequestLegacy) JobLegacy',
    'GetJobStatus(GetJobStatusRequestLegacy) GetJobStatusResponseLegacy',
    'StopJob(StopJobRequestLegacy) StopJobResponseLegacy',
    'ListJobs(EmptyRequest) JobsLegacy',
    'GetJobLogs(GetJobLogsRequestLegacy) stream DataChunk',
  ],
};

/** Fields of each message. */
export const publishedMessages: Readonly<Record<string, string>> = {
  'joblet.Jobs': '1 repeated Job jobs',
  'joblet.Job':
    '1 string uuid, 2 string name, 3 string command, 4 repeated string args, 5 int32 max_cpu, 6 string cpu_cores, 7 int32 max_memory, 8 int32 max_io_bps, 9 string status, 10 string start_time, 11 string end_time, 12 int32 exit_code, 13 string scheduled_time, 14 string runtime, 15 map<string, string> environment, 16 map<string, string> secret_environment, 17 repeated int32 gpu_indices, 18 int32 gpu_count, 19 int32 gpu_memory_mb, 20 string node_id',
  'joblet.EmptyRequest': '',
  'joblet.FileUpload': '1 string path, 2 bytes content, 3 uint32 mode, 4 bool is_directory',
  'joblet.GetJobStatusRequest': '1 string uuid',
  'joblet.GetJobStatusResponse':
    '1 string uuid, 2 string name, 3 string command, 4 repeated string args, 5 int32 max_cpu, 6 string cpu_cores, 7 int32 max_memory, 8 int32 max_io_bps, 9 string status, 10 string start_time, 11 string end_time, 12 int32 exit_code, 13 string scheduled_time, 14 map<string, string> environment, 15 map<string, string> secret_environment, 16 string network, 17 repeated string volumes, 18 string runtime, 19 string work_dir, 20 repeated string uploads, 21 repeated string dependencies, 22 string workflow_uuid, 23 repeated int32 gpu_indices, 24 int32 gpu_count, 25 int32 gpu_memory_mb, 26 string node_id',
  'joblet.StopJobRequest': '1 string uuid',
  'joblet.StopJobResponse': '1 string uuid, 2 string status, 3 string end_time, 4 int32 exit_code',
  'joblet.CancelJobRequest': '1 string uuid',
  'joblet.CancelJobResponse': '1 string uuid, 2 string status',
  'joblet.DeleteJobRequest': '1 string uuid',
  'joblet.DeleteJobResponse': '1 string uuid, 2 bool success, 3 string message',
  'joblet.DeleteAllJobsRequest': '',
  'joblet.DeleteAllJobsResponse':
    '1 bool success, 2 string message, 3 int32 deleted_count, 4 int32 skipped_count',
  'joblet.GetJobLogsRequest': '1 string uuid',
  'joblet.DataChunk': '1 bytes payload',
  'joblet.RuntimeInstallationChunk':
    '1 RuntimeInstallationProgress progress, 2 RuntimeInstallationLog log, 3 RuntimeInstallationResult result',
  'joblet.RuntimeInstallationProgress': '1 string message, 2 int32 step, 3 int32 total_steps',
  'joblet.RuntimeInstallationLog': '1 bytes data',
  'joblet.RuntimeInstallationResult':
    '1 bool success, 2 string message, 3 string runtime_spec, 4 string install_path',
  'joblet.CreateNetworkRequest': '1 string name, 2 string cidr',
  'joblet.CreateNetworkResponse': '1 string name, 2 string cidr, 3 string bridge',
  'joblet.RemoveNetworkRequest': '1 string name',
  'joblet.RemoveNetworkResponse': '1 bool success, 2 string message',
  'joblet.Network': '1 string name, 2 string cidr, 3 string bridge, 4 int32 job_count',
  'joblet.Networks': '1 repeated Network networks',
  'joblet.CreateVolumeRequest': '1 string name, 2 string size, 3 string type',
  'joblet.CreateVolumeResponse': '1 string name, 2 string size, 3 string type, 4 string path',
  'joblet.RemoveVolumeRequest': '1 string name',
  'joblet.RemoveVolumeResponse': '1 bool success, 2 string message',
  'joblet.Volume':
    '1 string name, 2 string size, 3 string type, 4 string path, 5 string created_time, 6 int32 job_count',
  'joblet.Volumes': '1 repeated Volume volumes',
  'joblet.SystemStatusResponse':
    '1 string timestamp, 2 bool available, 3 HostInfo host, 4 CPUMetrics cpu, 5 MemoryMetrics memory, 6 repeated DiskMetrics disks, 7 repeated NetworkMetrics networks, 8 IOMetrics io, 9 ProcessMetrics processes, 10 CloudInfo cloud, 11 ServerVersionInfo server_version',
  'joblet.SystemMetricsResponse':
    '1 string timestamp, 2 HostInfo host, 3 CPUMetrics cpu, 4 MemoryMetrics memory, 5 repeated DiskMetrics disks, 6 repeated NetworkMetrics networks, 7 IOMetrics io, 8 ProcessMetrics processes, 9 CloudInfo cloud',
  'joblet.StreamMetricsRequest': '1 int32 interval_seconds, 2 repeated string metric_types',
  'joblet.HostInfo':
    '1 string hostname, 2 string os, 3 string platform, 4 string platform_family, 5 string platform_version, 6 string kernel_version, 7 string kernel_arch, 8 string architecture, 9 int32 cpu_count, 10 int64 total_memory, 11 string boot_time, 12 int64 uptime, 13 string node_id, 14 repeated string server_ips, 15 repeated string mac_addresses',
  'joblet.CPUMetrics':
    '1 int32 cores, 2 double usage_percent, 3 double user_time, 4 double system_time, 5 double idle_time, 6 double io_wait_time, 7 double steal_time, 8 repeated double load_average, 9 repeated double per_core_usage',
  'joblet.MemoryMetrics':
    '1 int64 total_bytes, 2 int64 used_bytes, 3 int64 free_bytes, 4 int64 available_bytes, 5 double usage_percent, 6 int64 cached_bytes, 7 int64 buffered_bytes, 8 int64 swap_total, 9 int64 swap_used, 10 int64 swap_free',
  'joblet.DiskMetrics':
    '1 string device, 2 string mount_point, 3 string filesystem, 4 int64 total_bytes, 5 int64 used_bytes, 6 int64 free_bytes, 7 double usage_percent, 8 int64 inodes_total, 9 int64 inodes_used, 10 int64 inodes_free, 11 double inodes_usage_percent',
  'joblet.NetworkMetrics':
    '1 string interface, 2 int64 bytes_received, 3 int64 bytes_sent, 4 int64 packets_received, 5 int64 packets_sent, 6 int64 errors_in, 7 int64 errors_out, 8 int64 drops_in, 9 int64 drops_out, 10 double receive_rate, 11 double transmit_rate, 12 repeated string ip_addresses, 13 string mac_address',
  'joblet.IOMetrics':
    '1 int64 total_reads, 2 int64 total_writes, 3 int64 read_bytes, 4 int64 write_bytes, 5 double read_rate, 6 double write_rate, 7 repeated DiskIOMetrics disk_io',
  'joblet.DiskIOMetrics':
    '1 string device, 2 int64 reads_completed, 3 int64 writes_completed, 4 int64 read_bytes, 5 int64 write_bytes, 6 int64 read_time, 7 int64 write_time, 8 int64 io_time, 9 double utilization',
  'joblet.ProcessMetrics':
    '1 int32 total_processes, 2 int32 running_processes, 3 int32 sleeping_processes, 4 int32 stopped_processes, 5 int32 zombie_processes, 6 int32 total_threads, 7 repeated ProcessInfo top_by_cpu, 8 repeated ProcessInfo top_by_memory',
  'joblet.ProcessInfo':
    '1 int32 pid, 2 int32 ppid, 3 string name, 4 string command, 5 double cpu_percent, 6 double memory_percent, 7 int64 memory_bytes, 8 string status, 9 string start_time, 10 string user',
  'joblet.CloudInfo':
    '1 string provider, 2 string region, 3 string zone, 4 string instance_id, 5 string instance_type, 6 string hypervisor_type, 7 map<string, string> metadata',
  'joblet.ServerVersionInfo':
    '1 string version, 2 string git_commit, 3 string git_tag, 4 string build_date, 5 string component, 6 string go_version, 7 string platform, 8 string proto_commit, 9 string proto_tag',
  'joblet.ListRuntimesResponse': '1 repeated RuntimeInfo runtimes',
  'joblet.RuntimeInfo':
    '1 string name, 2 string language, 3 string version, 4 string description, 5 int64 size_bytes, 6 repeated string packages, 7 bool available, 8 RuntimeRequirements requirements, 9 string language_version, 10 repeated string libraries, 11 map<string, string> environment, 12 RuntimeBuildInfo build_info, 13 string original_yaml',
  'joblet.RuntimeRequirements': '1 repeated string architectures, 2 bool gpu',
  'joblet.GetRuntimeInfoRequest': '1 string runtime',
  'joblet.GetRuntimeInfoResponse': '1 RuntimeInfo runtime, 2 bool found',
  'joblet.TestRuntimeRequest': '1 string runtime',
  'joblet.TestRuntimeResponse':
    '2 bool success, 3 string output, 4 string error, 5 int32 exit_code',
  'joblet.RunJobRequest':
    '1 string name, 2 string command, 3 repeated string args, 4 int32 max_cpu, 5 string cpu_cores, 6 int32 max_memory, 7 int32 max_io_bps, 8 repeated FileUpload uploads, 9 string schedule, 10 string network, 11 repeated string volumes, 12 string runtime, 13 string work_dir, 14 map<string, string> environment, 15 string workflow_uuid, 16 string job_uuid, 17 repeated JobRequirement requirements, 18 map<string, string> secret_environment, 19 int32 gpu_count, 20 int32 gpu_memory_mb',
  'joblet.RunJobResponse':
    '1 string job_uuid, 2 string status, 3 string command, 4 repeated string args, 5 int32 max_cpu, 6 string cpu_cores, 7 int32 max_memory, 8 int32 max_io_bps, 9 string start_time, 10 string end_time, 11 int32 exit_code, 12 string scheduled_time',
  'joblet.JobRequirement': '1 string job_uuid, 2 string status, 3 string expression',
  'joblet.RunWorkflowRequest':
    '1 string workflow, 2 int32 total_jobs, 3 repeated string job_order, 4 string yaml_content, 5 repeated FileUpload workflow_files',
  'joblet.RunWorkflowResponse': '1 string workflow_uuid, 2 string status',
  'joblet.GetWorkflowStatusRequest': '1 string workflow_uuid',
  'joblet.GetWorkflowStatusResponse': '1 WorkflowInfo workflow, 2 repeated WorkflowJob jobs',
  'joblet.ListWorkflowsRequest': '1 bool include_completed',
  'joblet.ListWorkflowsResponse': '1 repeated WorkflowInfo workflows',
  'joblet.GetWorkflowJobsRequest': '1 string workflow_uuid',
  'joblet.GetWorkflowJobsResponse': '1 repeated WorkflowJob jobs',
  'joblet.WorkflowInfo':
    '1 string uuid, 2 string status, 3 int32 total_jobs, 4 int32 completed_jobs, 5 int32 failed_jobs, 6 int32 canceled_jobs, 7 Timestamp created_at, 8 Timestamp started_at, 9 Timestamp completed_at, 10 string yaml_content',
  'joblet.WorkflowJob':
    '1 string job_uuid, 2 string job_name, 3 string status, 4 repeated string dependencies, 5 Timestamp start_time, 6 Timestamp end_time, 7 int32 exit_code',
  'joblet.Timestamp': '1 int64 seconds, 2 int32 nanos',
  'joblet.InstallRuntimeRequest':
    '1 string runtime_spec, 2 string repository, 3 string branch, 4 string path, 5 bool force_reinstall, 6 string registry_url',
  'joblet.InstallRuntimeResponse':
    '1 string build_job_uuid, 2 string runtime_spec, 3 string status, 4 string message, 5 string repository, 6 string resolved_path',
  'joblet.InstallRuntimeFromLocalRequest':
    '1 string runtime_spec, 2 repeated RuntimeFile files, 3 bool force_reinstall',
  'joblet.RuntimeFile': '1 string path, 2 bytes content, 3 bool executable',
  'joblet.ValidateRuntimeSpecRequest': '1 string runtime_spec',
  'joblet.ValidateRuntimeSpecResponse':
    '1 bool valid, 2 string message, 3 string normalized_spec, 4 RuntimeSpecInfo spec_info',
  'joblet.RemoveRuntimeRequest': '1 string runtime',
  'joblet.RemoveRuntimeResponse': '1 bool success, 2 string message, 3 int64 freed_space_bytes',
  'joblet.RuntimeSpecInfo':
    '1 string language, 2 string version, 3 repeated string variants, 4 string architecture',
  'joblet.GetJobMetricsRequest':
    '1 string job_uuid, 2 int64 start_time, 3 int64 end_time, 4 int32 limit',
  'joblet.JobMetricsSummaryRequest': '1 string uuid, 2 int32 period_seconds',
  'joblet.JobMetricsSummaryResponse':
    '1 JobMetricsAggregate cpu, 2 JobMetricsAggregate memory, 3 JobMetricsAggregate io, 4 JobMetricsAggregate network',
  'joblet.JobMetricsSample':
    '1 string job_id, 2 int64 timestamp, 3 int32 sample_interval_seconds, 4 JobCPUMetrics cpu, 5 JobMemoryMetrics memory, 6 JobIOMetrics io, 7 JobNetworkMetrics network, 8 JobProcessMetrics process, 9 repeated JobGPUMetrics gpu, 10 string cgroup_path, 11 JobResourceLimits limits, 12 repeated int32 gpu_allocation',
  'joblet.JobResourceLimits': '1 int32 cpu, 2 int64 memory, 3 int32 io',
  'joblet.JobCPUMetrics':
    '1 uint64 usage_usec, 2 uint64 user_usec, 3 uint64 system_usec, 4 uint64 nr_periods, 5 uint64 nr_throttled, 6 uint64 throttled_usec, 7 double usage_percent, 8 double throttle_percent, 9 double pressure_some10, 10 double pressure_some60, 11 double pressure_some300, 12 double pressure_full10, 13 double pressure_full60, 14 double pressure_full300',
  'joblet.JobMemoryMetrics':
    '1 uint64 current, 2 uint64 max, 3 double usage_percent, 4 uint64 anon, 5 uint64 file, 6 uint64 kernel_stack, 7 uint64 slab, 8 uint64 sock, 9 uint64 shmem, 10 uint64 file_mapped, 11 uint64 file_dirty, 12 uint64 file_writeback, 13 uint64 pg_fault, 14 uint64 pg_maj_fault, 15 uint64 oom_events, 16 uint64 oom_kill, 17 double pressure_some10, 18 double pressure_some60, 19 double pressure_some300, 20 double pressure_full10, 21 double pressure_full60, 22 double pressure_full300',
  'joblet.JobIOMetrics':
    '1 map<string, DeviceIOMetrics> devices, 2 uint64 total_read_bytes, 3 uint64 total_write_bytes, 4 uint64 total_read_ops, 5 uint64 total_write_ops, 6 uint64 total_discard_bytes, 7 uint64 total_discard_ops, 8 double read_bps, 9 double write_bps, 10 double read_iops, 11 double write_iops, 12 double pressure_some10, 13 double pressure_some60, 14 double pressure_some300, 15 double pressure_full10, 16 double pressure_full60, 17 double pressure_full300',
  'joblet.DeviceIOMetrics':
    '1 string device, 2 uint64 read_bytes, 3 uint64 write_bytes, 4 uint64 read_ops, 5 uint64 write_ops, 6 uint64 discard_bytes, 7 uint64 discard_ops',
  'joblet.JobNetworkMetrics':
    '1 map<string, NetworkInterfaceMetrics> interfaces, 2 uint64 total_rx_bytes, 3 uint64 total_tx_bytes, 4 uint64 total_rx_packets, 5 uint64 total_tx_packets, 6 uint64 total_rx_errors, 7 uint64 total_tx_errors, 8 uint64 total_rx_dropped, 9 uint64 total_tx_dropped, 10 double rx_bps, 11 double tx_bps',
  'joblet.NetworkInterfaceMetrics':
    '1 string interface, 2 uint64 rx_bytes, 3 uint64 tx_bytes, 4 uint64 rx_packets, 5 uint64 tx_packets, 6 uint64 rx_errors, 7 uint64 tx_errors, 8 uint64 rx_dropped, 9 uint64 tx_dropped',
  'joblet.JobProcessMetrics':
    '1 uint64 current, 2 uint64 max, 3 uint64 events, 4 uint64 threads, 5 uint64 running, 6 uint64 sleeping, 7 uint64 stopped, 8 uint64 zombie, 9 uint64 open_fds, 10 uint64 max_fds',
  'joblet.JobGPUMetrics':
    '1 int32 index, 2 string uuid, 3 string name, 4 string compute_capability, 5 string driver_version, 6 double utilization, 7 uint64 memory_used, 8 uint64 memory_total, 9 uint64 memory_free, 10 double memory_percent, 11 double encoder_util, 12 double decoder_util, 13 uint64 sm_clock, 14 uint64 memory_clock, 15 double pcie_throughput_rx, 16 double pcie_throughput_tx, 17 double temperature, 18 double temperature_memory, 19 double power_draw, 20 double power_limit, 21 double fan_speed, 22 uint64 ecc_errors_single, 23 uint64 ecc_errors_double, 24 uint64 xid_errors, 25 uint64 retired_pages, 26 uint64 throttle_reasons, 27 uint64 processes_count, 28 uint64 processes_memory, 29 string compute_mode',
  'joblet.JobMetricsAggregate':
    '1 double min, 2 double max, 3 double avg, 4 double p50, 5 double p95, 6 double p99',
  'joblet.BuildRuntimeRequest':
    '1 string yaml_content, 2 bool dry_run, 3 bool verbose, 4 bool force_rebuild',
  'joblet.BuildRuntimeProgress':
    '1 BuildPhaseProgress phase, 2 BuildLogLine log, 3 BuildResult result',
  'joblet.BuildPhaseProgress':
    '1 int32 phase_number, 2 int32 total_phases, 3 string phase_name, 4 string message',
  'joblet.BuildLogLine': '1 string level, 2 string message, 3 int64 timestamp',
  'joblet.BuildResult':
    '1 bool success, 2 string message, 3 string runtime_name, 4 string runtime_version, 5 string install_path, 6 int64 size_bytes, 7 int64 build_duration_ms',
  'joblet.ValidateRuntimeYAMLRequest': '1 string yaml_content',
  'joblet.ValidateRuntimeYAMLResponse':
    '1 bool valid, 2 string message, 3 repeated string errors, 4 repeated string warnings, 5 RuntimeYAMLInfo spec_info',
  'joblet.RuntimeYAMLInfo':
    '1 string name, 2 string version, 3 string language, 4 string language_version, 5 string description, 6 repeated string pip_packages, 7 repeated string npm_packages, 8 bool has_hooks, 9 bool requires_gpu',
  'joblet.RuntimeBuildInfo': '1 string built_at, 2 string built_with, 3 string platform',
  'joblet.StreamJobMetricsRequest': '1 string job_uuid',
  'joblet.JobMetricsEvent':
    '1 int64 timestamp, 2 string job_uuid, 3 double cpu_percent, 4 int64 memory_bytes, 5 int64 memory_limit, 6 int64 disk_read_bytes, 7 int64 disk_write_bytes, 8 int64 net_recv_bytes, 9 int64 net_sent_bytes, 10 double gpu_percent, 11 int64 gpu_memory_bytes',
  'joblet.StreamJobTelematicsRequest': '1 string job_uuid, 2 repeated string types',
  'joblet.GetJobTelematicsRequest':
    '1 string job_uuid, 2 repeated string types, 3 int64 start_time, 4 int64 end_time, 5 int32 limit',
  'joblet.TelematicsEvent':
    '1 int64 timestamp, 2 string job_uuid, 3 string type, 10 TelematicsExecData exec, 11 TelematicsConnectData connect, 12 TelematicsAcceptData accept, 13 TelematicsFileData file, 14 TelematicsMmapData mmap, 15 TelematicsMprotectData mprotect, 16 TelematicsSocketDataData socket_data',
  'joblet.TelematicsExecData':
    '1 uint32 pid, 2 uint32 ppid, 3 string binary, 4 repeated string args, 5 int32 exit_code',
  'joblet.TelematicsConnectData':
    '1 uint32 pid, 2 string dst_addr, 3 uint32 dst_port, 4 string protocol, 5 string src_addr, 6 uint32 src_port',
  'joblet.TelematicsAcceptData':
    '1 uint32 pid, 2 string src_addr, 3 uint32 src_port, 4 string dst_addr, 5 uint32 dst_port, 6 string protocol',
  'joblet.TelematicsFileData':
    '1 uint32 pid, 2 string path, 3 string operation, 4 int64 bytes, 5 uint32 flags',
  'joblet.TelematicsMmapData':
    '1 uint32 pid, 2 uint64 addr, 3 uint64 length, 4 uint32 prot, 5 uint32 flags, 6 string file_path',
  'joblet.TelematicsMprotectData': '1 uint32 pid, 2 uint64 addr, 3 uint64 length, 4 uint32 prot',
  'joblet.TelematicsSocketDataData':
    '1 uint32 pid, 2 string direction, 3 string dst_addr, 4 uint32 dst_port, 5 string src_addr, 6 uint32 src_port, 7 string protocol, 8 int64 bytes',
  'joblet.persist.PingRequest': '',
  'joblet.persist.PingResponse': '1 bool healthy, 2 int64 timestamp',
  'joblet.persist.QueryLogsRequest':
    '1 string job_id, 2 StreamType stream, 3 int64 start_time, 4 int64 end_time, 5 int32 limit, 6 int32 offset',
  'joblet.persist.QueryMetricsRequest':
    '1 string job_id, 2 int64 start_time, 3 int64 end_time, 4 int32 limit, 5 int32 offset',
  'joblet.persist.LogLine':
    '1 string job_id, 2 StreamType stream, 3 int64 timestamp, 4 uint64 sequence, 5 bytes content',
  'joblet.persist.Metric':
    '1 string job_id, 2 int64 timestamp, 3 uint64 sequence, 4 MetricData data',
  'joblet.persist.MetricData':
    '1 double cpu_usage, 2 int64 memory_usage, 3 double gpu_usage, 4 DiskIO disk_io, 5 NetworkIO network_io',
  'joblet.persist.DiskIO':
    '1 int64 read_bytes, 2 int64 write_bytes, 3 int64 read_ops, 4 int64 write_ops',
  'joblet.persist.NetworkIO':
    '1 int64 rx_bytes, 2 int64 tx_bytes, 3 int64 rx_packets, 4 int64 tx_packets',
  'joblet.persist.DeleteJobRequest': '1 string job_id',
  'joblet.persist.DeleteJobResponse': '1 bool success, 2 string message',
  'joblet.RunJobRequestLegacy':
    '1 string command, 2 repeated string args, 3 int32 max_cpu, 4 int32 max_memory, 5 int32 max_io_bps',
  'joblet.JobsLegacy': '1 repeated JobLegacy jobs',
  'joblet.GetJobStatusRequestLegacy': '1 string id',
  'joblet.StopJobRequestLegacy': '1 string id',
  'joblet.StopJobResponseLegacy':
    '1 string id, 2 string status, 3 string end_time, 4 int32 exit_code',
  'joblet.GetJobLogsRequestLegacy': '1 string id',
  'joblet.JobLegacy':
    '1 string id, 2 string name, 3 string command, 4 repeated string args, 5 int32 max_cpu, 6 string cpu_cores, 7 int32 max_memory, 8 int32 max_io_bps, 9 string status, 10 string start_time, 11 string end_time, 12 int32 exit_code, 13 string scheduled_time, 14 string runtime, 15 map<string, string> environment, 16 map<string, string> secret_environment, 20 string node_id',
  'joblet.GetJobStatusResponseLegacy':
    '1 string uuid, 2 string name, 3 string command, 4 repeated string args, 5 int32 max_cpu, 6 string cpu_cores, 7 int32 max_memory, 8 int64 max_io_bps, 9 string status, 10 string start_time, 11 string end_time, 12 int32 exit_code, 13 string scheduled_time, 14 string runtime, 15 map<string, string> environment, 16 map<string, string> secret_environment, 17 string network, 18 repeated string volumes, 19 string work_dir, 20 repeated FileUpload uploads, 21 repeated string dependencies, 22 string workflow_uuid, 23 int32 gpu_count, 24 repeated int32 gpu_indices, 25 int64 gpu_memory_mb, 26 string node_id',
};
