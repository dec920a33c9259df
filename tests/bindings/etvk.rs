pub const ETVK_ABI_VERSION : u32 = 1 ;
pub const ETVK_VERSION_MAJOR : u32 = 0 ;
pub const ETVK_VERSION_MINOR : u32 = 1 ;
pub const ETVK_VERSION_PATCH : u32 = 0 ;
pub const ETVK_MAX_RANK : u32 = 8 ;
pub const ETVK_REASON_SIZE : u32 = 160 ;
pub const ETVK_NAME_SIZE : u32 = 96 ;
pub const ETVK_NO_NODE : u32 = 4294967295 ;
pub const ETVK_STATUS_OK : etvk_status = 0 ;
pub const ETVK_STATUS_INVALID_ARGUMENT : etvk_status = 1 ;
pub const ETVK_STATUS_INVALID_BLOB : etvk_status = 2 ;
pub const ETVK_STATUS_UNSUPPORTED : etvk_status = 3 ;
pub const ETVK_STATUS_UNKNOWN_OPERATOR : etvk_status = 4 ;
pub const ETVK_STATUS_MISSING_DATA : etvk_status = 5 ;
pub const ETVK_STATUS_OUT_OF_MEMORY : etvk_status = 6 ;
pub const ETVK_STATUS_NO_DEVICE : etvk_status = 7 ;
pub const ETVK_STATUS_DEVICE_LOST : etvk_status = 8 ;
pub const ETVK_STATUS_INTERNAL : etvk_status = 9 ;
pub const ETVK_STATUS_PANIC : etvk_status = 10 ;
pub const ETVK_STATUS_TIMEOUT : etvk_status = 11 ;
pub type etvk_status = i32 ;
pub const ETVK_DTYPE_BOOL : etvk_dtype = 0 ;
pub const ETVK_DTYPE_UINT8 : etvk_dtype = 1 ;
pub const ETVK_DTYPE_INT8 : etvk_dtype = 2 ;
pub const ETVK_DTYPE_INT32 : etvk_dtype = 3 ;
pub const ETVK_DTYPE_FLOAT16 : etvk_dtype = 4 ;
pub const ETVK_DTYPE_FLOAT32 : etvk_dtype = 5 ;
pub const ETVK_DTYPE_FLOAT64 : etvk_dtype = 6 ;
pub const ETVK_DTYPE_INT64 : etvk_dtype = 7 ;
pub type etvk_dtype = u32 ;
pub const ETVK_PORT_TENSOR : etvk_port_kind = 0 ;
pub const ETVK_PORT_INTEGER : etvk_port_kind = 1 ;
pub type etvk_port_kind = u32 ;
pub const ETVK_CONV_POINTWISE : etvk_conv_algorithm = 0 ;
pub const ETVK_CONV_DEPTHWISE : etvk_conv_algorithm = 1 ;
pub const ETVK_CONV_DIRECT : etvk_conv_algorithm = 2 ;
pub const ETVK_CONV_IM2COL : etvk_conv_algorithm = 3 ;
pub const ETVK_CONV_IMPLICIT : etvk_conv_algorithm = 4 ;
pub const ETVK_CONV_WINOGRAD : etvk_conv_algorithm = 5 ;
pub type etvk_conv_algorithm = u32 ;
pub const ETVK_LOG_OFF : etvk_log_level = 0 ;
pub const ETVK_LOG_ERROR : etvk_log_level = 1 ;
pub const ETVK_LOG_WARN : etvk_log_level = 2 ;
pub const ETVK_LOG_INFO : etvk_log_level = 3 ;
pub const ETVK_LOG_DEBUG : etvk_log_level = 4 ;
pub const ETVK_LOG_TRACE : etvk_log_level = 5 ;
pub type etvk_log_level = u32 ;
# [repr (C)] # [derive (Debug)] pub struct etvk_delegate { _unused : [u8 ;
0] , }
# [repr (C)] # [derive (Debug , Copy , Clone)] pub struct etvk_option { pub key : * const :: core :: ffi :: c_char , pub value : * const :: core :: ffi :: c_char , }
# [allow (clippy :: unnecessary_operation , clippy :: identity_op)] const _ : () = { ["Size of etvk_option"] [:: core :: mem :: size_of :: < etvk_option > () - 16usize] ;
["Alignment of etvk_option"] [:: core :: mem :: align_of :: < etvk_option > () - 8usize] ;
["Offset of field: etvk_option::key"] [:: core :: mem :: offset_of ! (etvk_option , key) - 0usize] ;
["Offset of field: etvk_option::value"] [:: core :: mem :: offset_of ! (etvk_option , value) - 8usize] ;
}
;
pub type etvk_log_callback = :: core :: option :: Option < unsafe extern "C" fn (context : * mut :: core :: ffi :: c_void , level : u32 , message : * const :: core :: ffi :: c_char) > ;
# [repr (C)] # [derive (Debug , Copy , Clone)] pub struct etvk_process_memory { pub workspace_bytes : u64 , pub activation_bytes : u64 , pub weight_bytes : u64 , pub staging_bytes : u64 , pub driver_bytes : u64 , pub driver_allocations : u64 , pub peak_driver_bytes : u64 , pub delegates : u64 , pub devices : u64 , }
# [allow (clippy :: unnecessary_operation , clippy :: identity_op)] const _ : () = { ["Size of etvk_process_memory"] [:: core :: mem :: size_of :: < etvk_process_memory > () - 72usize] ;
["Alignment of etvk_process_memory"] [:: core :: mem :: align_of :: < etvk_process_memory > () - 8usize] ;
["Offset of field: etvk_process_memory::workspace_bytes"] [:: core :: mem :: offset_of ! (etvk_process_memory , workspace_bytes) - 0usize] ;
["Offset of field: etvk_process_memory::activation_bytes"] [:: core :: mem :: offset_of ! (etvk_process_memory , activation_bytes) - 8usize] ;
["Offset of field: etvk_process_memory::weight_bytes"] [:: core :: mem :: offset_of ! (etvk_process_memory , weight_bytes) - 16usize] ;
["Offset of field: etvk_process_memory::staging_bytes"] [:: core :: mem :: offset_of ! (etvk_process_memory , staging_bytes) - 24usize] ;
["Offset of field: etvk_process_memory::driver_bytes"] [:: core :: mem :: offset_of ! (etvk_process_memory , driver_bytes) - 32usize] ;
["Offset of field: etvk_process_memory::driver_allocations"] [:: core :: mem :: offset_of ! (etvk_process_memory , driver_allocations) - 40usize] ;
["Offset of field: etvk_process_memory::peak_driver_bytes"] [:: core :: mem :: offset_of ! (etvk_process_memory , peak_driver_bytes) - 48usize] ;
["Offset of field: etvk_process_memory::delegates"] [:: core :: mem :: offset_of ! (etvk_process_memory , delegates) - 56usize] ;
["Offset of field: etvk_process_memory::devices"] [:: core :: mem :: offset_of ! (etvk_process_memory , devices) - 64usize] ;
}
;
pub type etvk_named_data_get = :: core :: option :: Option < unsafe extern "C" fn (context : * mut :: core :: ffi :: c_void , key : * const :: core :: ffi :: c_char , data : * mut * const :: core :: ffi :: c_void , size_bytes : * mut usize , token : * mut * mut :: core :: ffi :: c_void) -> i32 > ;
pub type etvk_named_data_release = :: core :: option :: Option < unsafe extern "C" fn (context : * mut :: core :: ffi :: c_void , token : * mut :: core :: ffi :: c_void) > ;
# [repr (C)] # [derive (Debug , Copy , Clone)] pub struct etvk_create_info { pub struct_size : u32 , pub option_count : u32 , pub options : * const etvk_option , pub blob : * const :: core :: ffi :: c_void , pub blob_size_bytes : usize , pub named_data_get : etvk_named_data_get , pub named_data_release : etvk_named_data_release , pub named_data_context : * mut :: core :: ffi :: c_void , }
# [allow (clippy :: unnecessary_operation , clippy :: identity_op)] const _ : () = { ["Size of etvk_create_info"] [:: core :: mem :: size_of :: < etvk_create_info > () - 56usize] ;
["Alignment of etvk_create_info"] [:: core :: mem :: align_of :: < etvk_create_info > () - 8usize] ;
["Offset of field: etvk_create_info::struct_size"] [:: core :: mem :: offset_of ! (etvk_create_info , struct_size) - 0usize] ;
["Offset of field: etvk_create_info::option_count"] [:: core :: mem :: offset_of ! (etvk_create_info , option_count) - 4usize] ;
["Offset of field: etvk_create_info::options"] [:: core :: mem :: offset_of ! (etvk_create_info , options) - 8usize] ;
["Offset of field: etvk_create_info::blob"] [:: core :: mem :: offset_of ! (etvk_create_info , blob) - 16usize] ;
["Offset of field: etvk_create_info::blob_size_bytes"] [:: core :: mem :: offset_of ! (etvk_create_info , blob_size_bytes) - 24usize] ;
["Offset of field: etvk_create_info::named_data_get"] [:: core :: mem :: offset_of ! (etvk_create_info , named_data_get) - 32usize] ;
["Offset of field: etvk_create_info::named_data_release"] [:: core :: mem :: offset_of ! (etvk_create_info , named_data_release) - 40usize] ;
["Offset of field: etvk_create_info::named_data_context"] [:: core :: mem :: offset_of ! (etvk_create_info , named_data_context) - 48usize] ;
}
;
# [repr (C)] # [derive (Debug , Copy , Clone)] pub struct etvk_port { pub kind : u32 , pub dtype : u32 , pub rank : u32 , pub dims : [u32 ;
8usize] , pub max_dims : [u32 ;
8usize] , pub size_bytes : u64 , }
# [allow (clippy :: unnecessary_operation , clippy :: identity_op)] const _ : () = { ["Size of etvk_port"] [:: core :: mem :: size_of :: < etvk_port > () - 88usize] ;
["Alignment of etvk_port"] [:: core :: mem :: align_of :: < etvk_port > () - 8usize] ;
["Offset of field: etvk_port::kind"] [:: core :: mem :: offset_of ! (etvk_port , kind) - 0usize] ;
["Offset of field: etvk_port::dtype"] [:: core :: mem :: offset_of ! (etvk_port , dtype) - 4usize] ;
["Offset of field: etvk_port::rank"] [:: core :: mem :: offset_of ! (etvk_port , rank) - 8usize] ;
["Offset of field: etvk_port::dims"] [:: core :: mem :: offset_of ! (etvk_port , dims) - 12usize] ;
["Offset of field: etvk_port::max_dims"] [:: core :: mem :: offset_of ! (etvk_port , max_dims) - 44usize] ;
["Offset of field: etvk_port::size_bytes"] [:: core :: mem :: offset_of ! (etvk_port , size_bytes) - 80usize] ;
}
;
# [repr (C)] # [derive (Debug , Copy , Clone)] pub struct etvk_input_shape { pub rank : u32 , pub dims : [u32 ;
8usize] , pub integer : i64 , }
# [allow (clippy :: unnecessary_operation , clippy :: identity_op)] const _ : () = { ["Size of etvk_input_shape"] [:: core :: mem :: size_of :: < etvk_input_shape > () - 48usize] ;
["Alignment of etvk_input_shape"] [:: core :: mem :: align_of :: < etvk_input_shape > () - 8usize] ;
["Offset of field: etvk_input_shape::rank"] [:: core :: mem :: offset_of ! (etvk_input_shape , rank) - 0usize] ;
["Offset of field: etvk_input_shape::dims"] [:: core :: mem :: offset_of ! (etvk_input_shape , dims) - 4usize] ;
["Offset of field: etvk_input_shape::integer"] [:: core :: mem :: offset_of ! (etvk_input_shape , integer) - 40usize] ;
}
;
# [repr (C)] # [derive (Debug , Copy , Clone)] pub struct etvk_tensor { pub data : * mut :: core :: ffi :: c_void , pub size_bytes : usize , pub dtype : u32 , pub rank : u32 , pub dims : [u32 ;
8usize] , pub dim_order : * const u8 , }
# [allow (clippy :: unnecessary_operation , clippy :: identity_op)] const _ : () = { ["Size of etvk_tensor"] [:: core :: mem :: size_of :: < etvk_tensor > () - 64usize] ;
["Alignment of etvk_tensor"] [:: core :: mem :: align_of :: < etvk_tensor > () - 8usize] ;
["Offset of field: etvk_tensor::data"] [:: core :: mem :: offset_of ! (etvk_tensor , data) - 0usize] ;
["Offset of field: etvk_tensor::size_bytes"] [:: core :: mem :: offset_of ! (etvk_tensor , size_bytes) - 8usize] ;
["Offset of field: etvk_tensor::dtype"] [:: core :: mem :: offset_of ! (etvk_tensor , dtype) - 16usize] ;
["Offset of field: etvk_tensor::rank"] [:: core :: mem :: offset_of ! (etvk_tensor , rank) - 20usize] ;
["Offset of field: etvk_tensor::dims"] [:: core :: mem :: offset_of ! (etvk_tensor , dims) - 24usize] ;
["Offset of field: etvk_tensor::dim_order"] [:: core :: mem :: offset_of ! (etvk_tensor , dim_order) - 56usize] ;
}
;
# [repr (C)] # [derive (Debug , Copy , Clone)] pub struct etvk_memory { pub workspace_bytes : u64 , pub workspace_budget_bytes : u64 , pub activation_bytes : u64 , pub weight_bytes : u64 , pub staging_bytes : u64 , pub driver_bytes : u64 , pub driver_allocations : u64 , }
# [allow (clippy :: unnecessary_operation , clippy :: identity_op)] const _ : () = { ["Size of etvk_memory"] [:: core :: mem :: size_of :: < etvk_memory > () - 56usize] ;
["Alignment of etvk_memory"] [:: core :: mem :: align_of :: < etvk_memory > () - 8usize] ;
["Offset of field: etvk_memory::workspace_bytes"] [:: core :: mem :: offset_of ! (etvk_memory , workspace_bytes) - 0usize] ;
["Offset of field: etvk_memory::workspace_budget_bytes"] [:: core :: mem :: offset_of ! (etvk_memory , workspace_budget_bytes) - 8usize] ;
["Offset of field: etvk_memory::activation_bytes"] [:: core :: mem :: offset_of ! (etvk_memory , activation_bytes) - 16usize] ;
["Offset of field: etvk_memory::weight_bytes"] [:: core :: mem :: offset_of ! (etvk_memory , weight_bytes) - 24usize] ;
["Offset of field: etvk_memory::staging_bytes"] [:: core :: mem :: offset_of ! (etvk_memory , staging_bytes) - 32usize] ;
["Offset of field: etvk_memory::driver_bytes"] [:: core :: mem :: offset_of ! (etvk_memory , driver_bytes) - 40usize] ;
["Offset of field: etvk_memory::driver_allocations"] [:: core :: mem :: offset_of ! (etvk_memory , driver_allocations) - 48usize] ;
}
;
# [repr (C)] # [derive (Debug , Copy , Clone)] pub struct etvk_convolution { pub node : u32 , pub n : u32 , pub c_in : u32 , pub h_in : u32 , pub w_in : u32 , pub c_out : u32 , pub h_out : u32 , pub w_out : u32 , pub kernel : [u32 ;
2usize] , pub stride : [u32 ;
2usize] , pub padding : [u32 ;
2usize] , pub dilation : [u32 ;
2usize] , pub groups : u32 , pub transposed : u32 , pub algorithm : u32 , pub h_out_tile : u32 , pub w_out_tile : u32 , pub tile_count : u32 , pub dispatch_count : u32 , pub workspace_bytes : u64 , pub moved_bytes : u64 , pub reason : [:: core :: ffi :: c_char ;
160usize] , }
# [allow (clippy :: unnecessary_operation , clippy :: identity_op)] const _ : () = { ["Size of etvk_convolution"] [:: core :: mem :: size_of :: < etvk_convolution > () - 272usize] ;
["Alignment of etvk_convolution"] [:: core :: mem :: align_of :: < etvk_convolution > () - 8usize] ;
["Offset of field: etvk_convolution::node"] [:: core :: mem :: offset_of ! (etvk_convolution , node) - 0usize] ;
["Offset of field: etvk_convolution::n"] [:: core :: mem :: offset_of ! (etvk_convolution , n) - 4usize] ;
["Offset of field: etvk_convolution::c_in"] [:: core :: mem :: offset_of ! (etvk_convolution , c_in) - 8usize] ;
["Offset of field: etvk_convolution::h_in"] [:: core :: mem :: offset_of ! (etvk_convolution , h_in) - 12usize] ;
["Offset of field: etvk_convolution::w_in"] [:: core :: mem :: offset_of ! (etvk_convolution , w_in) - 16usize] ;
["Offset of field: etvk_convolution::c_out"] [:: core :: mem :: offset_of ! (etvk_convolution , c_out) - 20usize] ;
["Offset of field: etvk_convolution::h_out"] [:: core :: mem :: offset_of ! (etvk_convolution , h_out) - 24usize] ;
["Offset of field: etvk_convolution::w_out"] [:: core :: mem :: offset_of ! (etvk_convolution , w_out) - 28usize] ;
["Offset of field: etvk_convolution::kernel"] [:: core :: mem :: offset_of ! (etvk_convolution , kernel) - 32usize] ;
["Offset of field: etvk_convolution::stride"] [:: core :: mem :: offset_of ! (etvk_convolution , stride) - 40usize] ;
["Offset of field: etvk_convolution::padding"] [:: core :: mem :: offset_of ! (etvk_convolution , padding) - 48usize] ;
["Offset of field: etvk_convolution::dilation"] [:: core :: mem :: offset_of ! (etvk_convolution , dilation) - 56usize] ;
["Offset of field: etvk_convolution::groups"] [:: core :: mem :: offset_of ! (etvk_convolution , groups) - 64usize] ;
["Offset of field: etvk_convolution::transposed"] [:: core :: mem :: offset_of ! (etvk_convolution , transposed) - 68usize] ;
["Offset of field: etvk_convolution::algorithm"] [:: core :: mem :: offset_of ! (etvk_convolution , algorithm) - 72usize] ;
["Offset of field: etvk_convolution::h_out_tile"] [:: core :: mem :: offset_of ! (etvk_convolution , h_out_tile) - 76usize] ;
["Offset of field: etvk_convolution::w_out_tile"] [:: core :: mem :: offset_of ! (etvk_convolution , w_out_tile) - 80usize] ;
["Offset of field: etvk_convolution::tile_count"] [:: core :: mem :: offset_of ! (etvk_convolution , tile_count) - 84usize] ;
["Offset of field: etvk_convolution::dispatch_count"] [:: core :: mem :: offset_of ! (etvk_convolution , dispatch_count) - 88usize] ;
["Offset of field: etvk_convolution::workspace_bytes"] [:: core :: mem :: offset_of ! (etvk_convolution , workspace_bytes) - 96usize] ;
["Offset of field: etvk_convolution::moved_bytes"] [:: core :: mem :: offset_of ! (etvk_convolution , moved_bytes) - 104usize] ;
["Offset of field: etvk_convolution::reason"] [:: core :: mem :: offset_of ! (etvk_convolution , reason) - 112usize] ;
}
;
# [repr (C)] # [derive (Debug , Copy , Clone)] pub struct etvk_profile_event { pub node : u32 , pub workgroups : [u32 ;
3usize] , pub start_ns : u64 , pub end_ns : u64 , pub operator_name : [:: core :: ffi :: c_char ;
96usize] , pub kernel : [:: core :: ffi :: c_char ;
96usize] , }
# [allow (clippy :: unnecessary_operation , clippy :: identity_op)] const _ : () = { ["Size of etvk_profile_event"] [:: core :: mem :: size_of :: < etvk_profile_event > () - 224usize] ;
["Alignment of etvk_profile_event"] [:: core :: mem :: align_of :: < etvk_profile_event > () - 8usize] ;
["Offset of field: etvk_profile_event::node"] [:: core :: mem :: offset_of ! (etvk_profile_event , node) - 0usize] ;
["Offset of field: etvk_profile_event::workgroups"] [:: core :: mem :: offset_of ! (etvk_profile_event , workgroups) - 4usize] ;
["Offset of field: etvk_profile_event::start_ns"] [:: core :: mem :: offset_of ! (etvk_profile_event , start_ns) - 16usize] ;
["Offset of field: etvk_profile_event::end_ns"] [:: core :: mem :: offset_of ! (etvk_profile_event , end_ns) - 24usize] ;
["Offset of field: etvk_profile_event::operator_name"] [:: core :: mem :: offset_of ! (etvk_profile_event , operator_name) - 32usize] ;
["Offset of field: etvk_profile_event::kernel"] [:: core :: mem :: offset_of ! (etvk_profile_event , kernel) - 128usize] ;
}
;
pub type etvk_queue_callback = :: core :: option :: Option < unsafe extern "C" fn (context : * mut :: core :: ffi :: c_void) > ;
# [repr (C)] # [derive (Debug , Copy , Clone)] pub struct etvk_host_device { pub struct_size : u32 , pub api_version : u32 , pub get_instance_proc_addr : * const :: core :: ffi :: c_void , pub instance : * mut :: core :: ffi :: c_void , pub physical_device : * mut :: core :: ffi :: c_void , pub device : * mut :: core :: ffi :: c_void , pub queue : * mut :: core :: ffi :: c_void , pub queue_family : u32 , pub reserved : u32 , pub features : * const :: core :: ffi :: c_void , pub lock_queue : etvk_queue_callback , pub unlock_queue : etvk_queue_callback , pub queue_context : * mut :: core :: ffi :: c_void , }
# [allow (clippy :: unnecessary_operation , clippy :: identity_op)] const _ : () = { ["Size of etvk_host_device"] [:: core :: mem :: size_of :: < etvk_host_device > () - 88usize] ;
["Alignment of etvk_host_device"] [:: core :: mem :: align_of :: < etvk_host_device > () - 8usize] ;
["Offset of field: etvk_host_device::struct_size"] [:: core :: mem :: offset_of ! (etvk_host_device , struct_size) - 0usize] ;
["Offset of field: etvk_host_device::api_version"] [:: core :: mem :: offset_of ! (etvk_host_device , api_version) - 4usize] ;
["Offset of field: etvk_host_device::get_instance_proc_addr"] [:: core :: mem :: offset_of ! (etvk_host_device , get_instance_proc_addr) - 8usize] ;
["Offset of field: etvk_host_device::instance"] [:: core :: mem :: offset_of ! (etvk_host_device , instance) - 16usize] ;
["Offset of field: etvk_host_device::physical_device"] [:: core :: mem :: offset_of ! (etvk_host_device , physical_device) - 24usize] ;
["Offset of field: etvk_host_device::device"] [:: core :: mem :: offset_of ! (etvk_host_device , device) - 32usize] ;
["Offset of field: etvk_host_device::queue"] [:: core :: mem :: offset_of ! (etvk_host_device , queue) - 40usize] ;
["Offset of field: etvk_host_device::queue_family"] [:: core :: mem :: offset_of ! (etvk_host_device , queue_family) - 48usize] ;
["Offset of field: etvk_host_device::reserved"] [:: core :: mem :: offset_of ! (etvk_host_device , reserved) - 52usize] ;
["Offset of field: etvk_host_device::features"] [:: core :: mem :: offset_of ! (etvk_host_device , features) - 56usize] ;
["Offset of field: etvk_host_device::lock_queue"] [:: core :: mem :: offset_of ! (etvk_host_device , lock_queue) - 64usize] ;
["Offset of field: etvk_host_device::unlock_queue"] [:: core :: mem :: offset_of ! (etvk_host_device , unlock_queue) - 72usize] ;
["Offset of field: etvk_host_device::queue_context"] [:: core :: mem :: offset_of ! (etvk_host_device , queue_context) - 80usize] ;
}
;
unsafe extern "C" { pub fn etvk_abi_version () -> u32 ;
}
unsafe extern "C" { pub fn etvk_version () -> * const :: core :: ffi :: c_char ;
}
unsafe extern "C" { pub fn etvk_status_name (status : i32) -> * const :: core :: ffi :: c_char ;
}
unsafe extern "C" { pub fn etvk_dtype_fits (host : u32 , port : u32) -> u32 ;
}
unsafe extern "C" { pub fn etvk_last_error () -> * const :: core :: ffi :: c_char ;
}
unsafe extern "C" { pub fn etvk_probe (options : * const etvk_option , option_count : u32) -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_set_log_callback (callback : etvk_log_callback , context : * mut :: core :: ffi :: c_void , level : u32) -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_memory_of_process (out : * mut etvk_process_memory) -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_release_devices () -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_delegate_create (info : * const etvk_create_info , out : * mut * mut etvk_delegate) -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_delegate_destroy (delegate : * mut etvk_delegate) ;
}
unsafe extern "C" { pub fn etvk_delegate_input_count (delegate : * const etvk_delegate , out : * mut u32) -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_delegate_output_count (delegate : * const etvk_delegate , out : * mut u32) -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_delegate_input (delegate : * const etvk_delegate , index : u32 , out : * mut etvk_port) -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_delegate_output (delegate : * const etvk_delegate , index : u32 , out : * mut etvk_port) -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_delegate_resize (delegate : * mut etvk_delegate , inputs : * const etvk_input_shape , input_count : u32) -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_delegate_keep_outputs (delegate : * mut etvk_delegate , count : u32) -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_delegate_check_beside (delegate : * const etvk_delegate , other : * const etvk_delegate) -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_delegate_execute (delegate : * mut etvk_delegate , inputs : * const etvk_tensor , input_count : u32 , outputs : * const etvk_tensor , output_count : u32) -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_delegate_memory (delegate : * const etvk_delegate , out : * mut etvk_memory) -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_delegate_convolution_count (delegate : * const etvk_delegate , out : * mut u32) -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_delegate_convolution (delegate : * const etvk_delegate , index : u32 , out : * mut etvk_convolution) -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_delegate_profile (delegate : * const etvk_delegate , events : * mut etvk_profile_event , capacity : u32 , count : * mut u32) -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_delegate_report (delegate : * const etvk_delegate , buffer : * mut :: core :: ffi :: c_char , size : usize , needed : * mut usize) -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_delegate_device_name (delegate : * const etvk_delegate , buffer : * mut :: core :: ffi :: c_char , size : usize , needed : * mut usize) -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_host_device_add (info : * const etvk_host_device , out : * mut u32) -> etvk_status ;
}
unsafe extern "C" { pub fn etvk_host_device_remove (id : u32) -> etvk_status ;
}